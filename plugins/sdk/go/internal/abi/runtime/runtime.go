// Package runtime is what the generated bindings stand on: memory that the host fills, and
// handles of its resources.
//
// Go's collector must not run while the host allocates in the guest: it asks for the time, and a
// guest that is being allocated in may not call out. So it never runs by itself (see package
// call), and what the host was given is held here until the call has read it.
package runtime

import (
	"runtime"
	"unsafe"
)

// Handle is a resource of the host's.
type Handle struct {
	value int32
}

// MakeHandle takes a resource over.
func MakeHandle(value int32) *Handle { return &Handle{value} }

// Use returns the number of a resource that is still there.
func (h *Handle) Use() int32 {
	if h.value == 0 {
		panic("this resource was closed already")
	}
	return h.value
}

// Take hands the resource on; it is not there any more.
func (h *Handle) Take() int32 {
	value := h.Use()
	h.value = 0
	return value
}

// TakeOrNil is Take for a resource that may be gone; then it is 0.
func (h *Handle) TakeOrNil() int32 {
	value := h.value
	h.value = 0
	return value
}

// Set takes a resource over.
func (h *Handle) Set(value int32) { h.value = value }

// Allocate returns memory that stays where it is until the pinner lets it go.
func Allocate(pinner *runtime.Pinner, size, align uintptr) unsafe.Pointer {
	pointer := allocate(size)
	if pointer != nil {
		pinner.Pin(pointer)
	}
	return pointer
}

// allocate returns zeroed memory that is aligned for everything, and that has no pointers for the
// collector to look for: what it holds is held elsewhere.
func allocate(size uintptr) unsafe.Pointer {
	if size == 0 {
		return nil
	}
	if size < 8 {
		return unsafe.Pointer(unsafe.SliceData(make([]byte, size, 8)))
	}
	return unsafe.Pointer(unsafe.SliceData(make([]uint64, (size+7)/8)))
}

// held is what the host was given in this call and nobody has read yet.
var held []unsafe.Pointer

// Unpin is called once the arguments of a call have been read.
func Unpin() {
	clear(held)
	held = held[:0]
}
