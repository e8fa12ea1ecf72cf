package packed

import (
	"bytes"
	"strings"
	"testing"
)

func TestWhatIsWrittenIsRead(t *testing.T) {
	out := Optional(Optional(Text(U64(U32(U16([]byte{Version}, 2), 3), 4), "five"), nil), []byte{})
	r := NewReader(out)
	r.Version()
	if r.U16("") != 2 || r.U32("") != 3 || r.U64("") != 4 || r.Text("") != "five" {
		t.Fatal("another value was read")
	}
	if r.Optional("") != nil {
		t.Fatal("null is not empty")
	}
	if empty := r.Optional(""); empty == nil || len(empty) != 0 {
		t.Fatal("empty is not null")
	}
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
}

func TestALengthBeyondTheBytesIsRefusedBeforeAnythingIsAllocated(t *testing.T) {
	r := NewReader([]byte{0xfe, 0xff, 0xff, 0xff, 'x'})
	if r.Bytes("name") != nil || r.Err() == nil || !strings.Contains(r.Err().Error(), "name") {
		t.Fatalf("%v", r.Err())
	}
	if r.U32("more") != 0 || r.Text("more") != "" {
		t.Fatal("something was read behind the error")
	}
}

func TestAnotherVersionIsRefused(t *testing.T) {
	r := NewReader([]byte{2})
	r.Version()
	if r.Err() == nil {
		t.Fatal("version 2 was taken")
	}
}

func FuzzAReaderNeverPanicsAndNeverReadsMoreThanThereIs(f *testing.F) {
	f.Add([]byte{1, 4, 0, 0, 0, 'a', 'b', 'c', 'd', 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := NewReader(data)
		r.Version()
		size := 1
		for r.Err() == nil {
			if part := r.Bytes("part"); r.Err() == nil {
				size += 4 + len(part)
				if !bytes.Contains(data, part) {
					t.Fatal("bytes of somewhere else")
				}
			}
		}
		if size > len(data)+1 {
			t.Fatal("more was read than there is")
		}
	})
}
