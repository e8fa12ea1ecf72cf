// Package producer writes to topics.
//
//	err := producer.Send(producer.Record{Topic: "raw", Key: []byte("ada"), Value: []byte("{}")})
//
// Once it has returned without an error the records are durable. Needs `[needs.produce]` in the
// manifest.
package producer

import (
	"encoding/json"
	"fmt"
	"time"

	"trellis/internal/packed"
)

// Record is a record to be written.
type Record struct {
	Topic string
	// Records of one key stay in order; nil is null.
	Key []byte
	// Nil is null.
	Value   []byte
	Headers []Header
	// When it happened; the zero value is now.
	Time time.Time
	// Nil: by the key.
	Partition *uint32
}

// Header is a header of a record; a nil value is null.
type Header struct {
	Name  string
	Value []byte
}

// JSON is a record with a value written as JSON.
func JSON(topic string, key []byte, value any) (Record, error) {
	bytes, err := json.Marshal(value)
	return Record{Topic: topic, Key: key, Value: bytes}, err
}

// Error is a record that was not written.
type Error struct {
	// Its place in the call, from 0; -1 stands for all of them.
	Index  int
	Reason string
}

func (e *Error) Error() string {
	if e.Index < 0 {
		return "the records were not written: " + e.Reason
	}
	return fmt.Sprintf("record %d was not written: %s", e.Index, e.Reason)
}

// The partition that says "by the key", and the time that says "now".
const (
	byKey = 0xffffffff
	now   = ^uint64(0)
)

// Pack writes what trellis:kafka/packed-producer describes.
func Pack(records []Record) []byte {
	size := 8
	for _, record := range records {
		size += 64 + len(record.Topic) + len(record.Key) + len(record.Value)
	}
	out := append(make([]byte, 0, size), packed.Version, 0, 0, 0)
	out = packed.U32(out, uint32(len(records)))
	for _, record := range records {
		out = record.pack(out)
	}
	return out
}

func (r Record) pack(out []byte) []byte {
	start := len(out)
	partition, at := uint32(byKey), uint64(now)
	if r.Partition != nil {
		partition = *r.Partition
	}
	if !r.Time.IsZero() {
		at = uint64(r.Time.UnixMilli())
	}
	out = packed.U64(packed.U32(append(out, 0, 0, 0, 0), partition), at)
	out = packed.Optional(packed.Optional(packed.Text(out, r.Topic), r.Key), r.Value)
	out = packed.U32(out, uint32(len(r.Headers)))
	for _, header := range r.Headers {
		out = packed.Optional(packed.Text(out, header.Name), header.Value)
	}
	packed.Patch(out, start, uint32(len(out)-start-4))
	return out
}
