package packed

import "encoding/binary"

// U16 adds two bytes.
func U16(out []byte, value uint16) []byte { return binary.LittleEndian.AppendUint16(out, value) }

// U32 adds four bytes.
func U32(out []byte, value uint32) []byte { return binary.LittleEndian.AppendUint32(out, value) }

// U64 adds eight bytes.
func U64(out []byte, value uint64) []byte { return binary.LittleEndian.AppendUint64(out, value) }

// Text adds a length and as many bytes.
func Text[T ~string | ~[]byte](out []byte, value T) []byte {
	return append(U32(out, uint32(len(value))), value...)
}

// Optional is Text where nil stands for null.
func Optional(out []byte, value []byte) []byte {
	if value == nil {
		return U32(out, null)
	}
	return Text(out, value)
}

// Patch writes a number over the four bytes at a place.
func Patch(out []byte, at int, value uint32) { binary.LittleEndian.PutUint32(out[at:], value) }
