// Package consumer is run by topics.
//
//	func init() { consumer.Handle(count) }
//
//	func count(batch *consumer.Batch) error {
//		for message := range batch.Messages() {
//			var event struct{ Type string }
//			if err := message.JSON(&event); err != nil {
//				return message.DeadLetter(err)
//			}
//			slog.Info("an event", "type", event.Type, "offset", message.Offset)
//		}
//		return nil
//	}
//
// What a message returns names itself as the one that failed: those before it count as done and do
// not come again, so do what is still to be done for them first. Any other error lets the whole
// batch come again. A panic is logged with its stack, and the batch comes again in halves until
// the message that causes it is found.
package consumer

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"trellis/internal/packed"
)

// Batch is messages of one partition, in order.
type Batch struct {
	Topic     string
	Partition uint32
	// How many records lay beyond this batch when it was read.
	Behind uint64

	count   uint32
	records packed.Reader
	fault   *Failure
}

// Parse reads what trellis:kafka/packed-consumer describes.
func Parse(bytes []byte) (*Batch, error) {
	r := packed.NewReader(bytes)
	r.Version()
	r.Take(3, "reserved bytes")
	count := r.U32("number of records")
	batch := &Batch{Partition: r.U32("partition"), Behind: r.U64("behind"), Topic: r.Text("topic")}
	batch.count, batch.records = count, r
	return batch, r.Err()
}

// Len is the number of messages.
func (b *Batch) Len() int { return int(b.count) }

// Messages are read one by one as they are asked for. A batch whose bytes do not follow the layout
// ends early, and then counts as failed at that message whatever the handler returns.
func (b *Batch) Messages() iter.Seq[Message] {
	return func(yield func(Message) bool) {
		records := b.records
		for index := range b.count {
			message, err := read(&records, index)
			if err != nil {
				b.fault = &Failure{Index: index, Reason: err, Dead: true}
				return
			}
			if !yield(message) {
				return
			}
		}
	}
}

// Message is one record. Its bytes share the memory that the batch came in.
type Message struct {
	// The position in its partition. Offsets grow, with gaps.
	Offset uint64
	// When it was produced.
	Time time.Time
	// The key, which decided the partition; nil is null.
	Key []byte
	// The value; nil is null, a tombstone.
	Value []byte

	index       uint32
	headerCount uint32
	headers     packed.Reader
}

func read(batch *packed.Reader, index uint32) (Message, error) {
	record := packed.NewReader(batch.Bytes("record"))
	if err := batch.Err(); err != nil {
		return Message{}, err
	}
	message := Message{Offset: record.U64("offset"), index: index}
	message.Time = time.UnixMilli(int64(record.U64("timestamp"))).UTC()
	message.Key, message.Value = record.Optional("key"), record.Optional("value")
	message.headerCount = record.U32("number of headers")
	message.headers = record
	return message, record.Err()
}

// Index is its place in the batch, from 0.
func (m Message) Index() int { return int(m.index) }

// JSON reads the value. A tombstone reads as null.
func (m Message) JSON(into any) error {
	value := m.Value
	if value == nil {
		value = []byte("null")
	}
	return json.Unmarshal(value, into)
}

// Header is the first header of this name, and whether there is one.
func (m Message) Header(name string) ([]byte, bool) {
	for key, value := range m.Headers() {
		if key == name {
			return value, true
		}
	}
	return nil, false
}

// Headers are all of them in their order; a nil value is null. They end early where the bytes do
// not follow the layout.
func (m Message) Headers() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		reader := m.headers
		for range m.headerCount {
			name, value := reader.Text("header name"), reader.Optional("header value")
			if reader.Err() != nil || !yield(name, value) {
				return
			}
		}
	}
}

// Failure says which message failed, and what is to happen with it.
type Failure struct {
	Index  uint32
	Reason error
	// To the dead-letter topic at once.
	Dead bool
	// Again after so long; 0 is the back-off of the manifest.
	After time.Duration
}

func (f *Failure) Error() string { return fmt.Sprintf("message %d: %v", f.Index, f.Reason) }

// Unwrap is the reason.
func (f *Failure) Unwrap() error { return f.Reason }

// Retry lets this message and those behind it come again, after the back-off of the manifest.
func (m Message) Retry(reason error) error { return &Failure{Index: m.index, Reason: reason} }

// RetryAfter lets them come again after so long.
func (m Message) RetryAfter(reason error, after time.Duration) error {
	return &Failure{Index: m.index, Reason: reason, After: after}
}

// DeadLetter sends this message to the dead-letter topic and goes on behind it.
func (m Message) DeadLetter(reason error) error {
	return &Failure{Index: m.index, Reason: reason, Dead: true}
}

// Handler handles one batch.
type Handler func(*Batch) error

// Run is one call of the packed consumer; nil where the batch is done.
func (h Handler) Run(bytes []byte) *Failure {
	batch, err := Parse(bytes)
	if err == nil && h == nil {
		err = errors.New("nothing handles messages: call consumer.Handle in an init function")
	}
	if err == nil {
		err = h(batch)
		if batch.fault != nil {
			return batch.fault
		}
	}
	var failure *Failure
	switch {
	case err == nil:
		return nil
	case errors.As(err, &failure):
		// Around it may be more words than in its own reason.
		return &Failure{failure.Index, reason(err, failure), failure.Dead, failure.After}
	default:
		return &Failure{Reason: err}
	}
}

func reason(err error, failure *Failure) error {
	if err == error(failure) {
		return failure.Reason
	}
	return err
}
