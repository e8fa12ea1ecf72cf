// Package packed reads and writes the byte layouts that trellis:http and trellis:kafka describe.
//
// All integers are little endian. A text is a u32 length followed by that many bytes; an optional
// one has the length 0xffffffff where it is null.
package packed

import (
	"encoding/binary"
	"fmt"
	"unsafe"
)

// Version is the first byte of every layout.
const Version = 1

const null = 0xffffffff

// Reader walks over bytes. The first thing that does not follow the layout ends it: what is read
// then is empty, and Err says what was missing.
type Reader struct {
	bytes []byte
	err   error
}

// NewReader reads from the beginning of some bytes.
func NewReader(bytes []byte) Reader { return Reader{bytes: bytes} }

// Err says what did not follow the layout.
func (r *Reader) Err() error { return r.err }

// Version refuses every version but ours.
func (r *Reader) Version() {
	if version := r.U8("version"); r.err == nil && version != Version {
		r.fail("version %d is not %d, which this library reads", version, Version)
	}
}

// U8 reads a byte.
func (r *Reader) U8(what string) uint8 {
	if bytes := r.Take(1, what); bytes != nil {
		return bytes[0]
	}
	return 0
}

// U16 reads two bytes.
func (r *Reader) U16(what string) uint16 {
	if bytes := r.Take(2, what); bytes != nil {
		return binary.LittleEndian.Uint16(bytes)
	}
	return 0
}

// U32 reads four bytes.
func (r *Reader) U32(what string) uint32 {
	if bytes := r.Take(4, what); bytes != nil {
		return binary.LittleEndian.Uint32(bytes)
	}
	return 0
}

// U64 reads eight bytes.
func (r *Reader) U64(what string) uint64 {
	if bytes := r.Take(8, what); bytes != nil {
		return binary.LittleEndian.Uint64(bytes)
	}
	return 0
}

// Bytes reads a length and as many bytes, in place.
func (r *Reader) Bytes(what string) []byte { return r.Take(uint64(r.U32(what)), what) }

// Text is Bytes as a string, which shares their memory.
func (r *Reader) Text(what string) string { return View(r.Bytes(what)) }

// Optional is Bytes where nil stands for null.
func (r *Reader) Optional(what string) []byte {
	length := r.U32(what)
	if length == null || r.err != nil {
		return nil
	}
	return r.Take(uint64(length), what)
}

// Take reads so many bytes, in place. They are nil only after an error.
func (r *Reader) Take(length uint64, what string) []byte {
	if r.err != nil {
		return nil
	}
	if length > uint64(len(r.bytes)) {
		r.fail("the bytes end within the %s: %d are missing", what, length-uint64(len(r.bytes)))
		return nil
	}
	taken := r.bytes[:length:length]
	r.bytes = r.bytes[length:]
	return taken
}

func (r *Reader) fail(format string, args ...any) {
	r.err = fmt.Errorf(format, args...)
	r.bytes = nil
}

// View is a string over bytes that nobody changes any more.
func View(bytes []byte) string { return unsafe.String(unsafe.SliceData(bytes), len(bytes)) }
