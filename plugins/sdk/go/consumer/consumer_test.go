package consumer

import (
	"errors"
	"fmt"
	"testing"

	"trellis/internal/packed"
)

// batch is written as the host does: values in their order, nil is a tombstone.
func batch(values ...[]byte) []byte {
	out := packed.U32([]byte{packed.Version, 0, 0, 0}, uint32(len(values)))
	out = packed.Text(packed.U64(packed.U32(out, 3), 9), "events")
	for offset, value := range values {
		record := packed.U64(packed.U64(nil, uint64(offset)), 5)
		record = packed.Optional(packed.Optional(record, []byte("key")), value)
		record = packed.Optional(packed.Text(packed.U32(record, 1), "name"), []byte("v"))
		out = packed.Text(out, record)
	}
	return out
}

func TestABatchIsReadAsItWasWritten(t *testing.T) {
	b, err := Parse(batch([]byte(`{"type":"w"}`), nil))
	if err != nil || b.Topic != "events" || b.Partition != 3 || b.Behind != 9 || b.Len() != 2 {
		t.Fatalf("%+v %v", b, err)
	}
	seen := 0
	for message := range b.Messages() {
		if message.Index() != seen || int(message.Offset) != seen || string(message.Key) != "key" {
			t.Fatalf("%+v", message)
		}
		if value, is := message.Header("name"); !is || string(value) != "v" {
			t.Fatal("a header is missing")
		}
		if (message.Value == nil) != (seen == 1) {
			t.Fatal("a tombstone is null, and nothing else is")
		}
		seen++
	}
	if seen != 2 {
		t.Fatal(seen)
	}
}

func all(batch *Batch) error {
	for range batch.Messages() {
	}
	return nil
}

func TestABatchThatIsCutAnywhereIsNeverDone(t *testing.T) {
	whole := batch([]byte("1"), []byte("2"))
	for cut := range whole {
		if Handler(all).Run(whole[:cut]) == nil {
			t.Fatalf("%d of %d bytes were taken for done", cut, len(whole))
		}
	}
	if failure := Handler(all).Run(whole); failure != nil {
		t.Fatal(failure)
	}
}

func TestAnErrorOfAMessageNamesIt(t *testing.T) {
	second := func(batch *Batch) error {
		for message := range batch.Messages() {
			if message.Index() == 1 {
				return fmt.Errorf("while counting: %w", message.DeadLetter(errors.New("no event")))
			}
		}
		return nil
	}
	failure := Handler(second).Run(batch(nil, nil, nil))
	if failure == nil || failure.Index != 1 || !failure.Dead {
		t.Fatal(failure)
	}
	any := func(*Batch) error { return errors.New("away") }
	if failure := Handler(any).Run(batch(nil)); failure.Index != 0 || failure.Dead {
		t.Fatal(failure)
	}
}

func FuzzForeignBytesNeverPanic(f *testing.F) {
	f.Add(batch([]byte("1"), nil))
	f.Fuzz(func(t *testing.T, bytes []byte) {
		_ = Handler(func(batch *Batch) error {
			for message := range batch.Messages() {
				message.Header("name")
			}
			return nil
		}).Run(bytes)
	})
}
