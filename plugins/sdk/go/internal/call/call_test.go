package call

import "testing"

func TestPlacesAreThePluginsOwnWithTheNamesOfMethods(t *testing.T) {
	stack := "goroutine 1 [running]:\n" +
		"runtime/debug.Stack()\n\t/go/src/runtime/debug/stack.go:26 +0x5e\n" +
		"panic({0x1, 0x2})\n\t/go/src/runtime/panic.go:783 +0x1\n" +
		"main.(*room).Data(0xc0, {0x1, 0x2})\n\t/it/lines.go:12 +0x1d\n" +
		"main.init.func1(...)\n\t/it/main.go:7\n" +
		"trellis/socket.(*exports).data(0x1)\n\t/it/.trellis/go/socket/socket.go:9 +0x2\n" +
		"created by main.main in goroutine 3\n\t/it/main.go:20 +0x3\n"
	want := "\n    at main.(*room).Data (/it/lines.go:12)" +
		"\n    at main.init.func1 (/it/main.go:7)" +
		"\n    at created by main.main in goroutine 3 (/it/main.go:20)"
	if got := places(stack); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}
