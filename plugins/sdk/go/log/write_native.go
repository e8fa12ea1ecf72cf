//go:build !wasip1

package log

import (
	"fmt"
	"log/slog"
	"os"
)

// In the tests of a plugin there is no host.
func write(level slog.Level, message string) { fmt.Fprintln(os.Stderr, level, message) }
