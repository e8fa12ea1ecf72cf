// Package call is what happens around each call of the host's.
//
// Go's collector asks for the time while it works. In the middle of a call the host may be
// allocating in the guest, which must not ask anything then, so that the instance would end. So
// the collector is off, and runs at the end of calls, once enough has been allocated to be worth
// it.
package call

import (
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"

	// Lines of log/slog go to the host.
	_ "trellis/log"
)

// What may be allocated between two collections, in bytes.
const growth = 8 << 20

var (
	allocated = []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	collected uint64
)

func init() { debug.SetGCPercent(-1) }

// End is deferred by each call: it collects what the last ones have left behind.
func End() {
	metrics.Read(allocated)
	if now := allocated[0].Value.Uint64(); now-collected > growth {
		runtime.GC()
		collected = now
	}
}

// Panic logs what a handler panicked with, and where. Deferred functions call it with what
// recover returned.
func Panic(what string, reason any) error {
	err := fmt.Errorf("%s panicked: %v", what, reason)
	slog.Error(err.Error() + places(string(debug.Stack())))
	return err
}

// places are the functions of a stack with their files, without those of Go's runtime and of this
// library.
func places(stack string) string {
	var told strings.Builder
	_, rest, _ := strings.Cut(stack, "\n")
	for rest != "" {
		var function, place string
		function, rest, _ = strings.Cut(rest, "\n")
		place, rest, _ = strings.Cut(rest, "\n")
		if isOurs(function) {
			continue
		}
		name := function
		// A method's receiver is in brackets, too: the arguments are the last ones.
		if at := strings.LastIndexByte(name, '('); at > 0 && strings.HasSuffix(name, ")") {
			name = name[:at]
		}
		place, _, _ = strings.Cut(strings.TrimSpace(place), " +0x")
		told.WriteString("\n    at " + name + " (" + place + ")")
	}
	return told.String()
}

func isOurs(function string) bool {
	for _, beginning := range []string{"runtime/", "runtime.", "panic(", "trellis/"} {
		if strings.HasPrefix(function, beginning) {
			return true
		}
	}
	return false
}

// Rethrow is deferred where the host is to see a panic: it is logged and goes on.
func Rethrow(what string) {
	if reason := recover(); reason != nil {
		panic(Panic(what, reason))
	}
}
