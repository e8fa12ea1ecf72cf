package runtime

import "unsafe"

//go:linkname sbrk runtime.sbrk
func sbrk(size uintptr) unsafe.Pointer

// Freezes the clock of the adapter between this module and the host: Go looks at it when it
// allocates, and the host may not be asked then.
//
//go:wasmimport wasi_snapshot_preview1 adapter_monotonic_clock_set_paused
func pauseClock(paused bool)

// ready is set once Go can allocate; the adapter wants memory before.
var ready bool

func init() { ready = true }

//go:wasmexport cabi_realloc
func realloc(old unsafe.Pointer, oldSize, align, size uintptr) unsafe.Pointer {
	if old != nil || oldSize != 0 {
		panic("the host does not let what it was given grow")
	}
	if !ready {
		start := uintptr(sbrk(size + align))
		return unsafe.Pointer((start + align - 1) &^ (align - 1))
	}
	pauseClock(true)
	pointer := allocate(size)
	held = append(held, pointer)
	pauseClock(false)
	return pointer
}
