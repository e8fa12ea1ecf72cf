package producer

import (
	"errors"
	"fmt"

	"trellis/internal/abi/types"
	wit "trellis/internal/wit/trellis_kafka_packed_producer"
	kafka "trellis/internal/wit/trellis_kafka_types"
)

// Send writes records and waits until they are durable. The errors of those that were not written
// are joined. Limits: 10,000 records and 16 MiB a call.
func Send(records ...Record) error { return send(wit.Send, records) }

// SendAhead writes records ahead of the answer: it returns at once, and the host holds the answer
// to the request back until they are durable; should that fail, the client gets 503. Outside of an
// HTTP handler it is Send.
func SendAhead(records ...Record) error { return send(wit.SendAhead, records) }

type sending = func([]byte) types.Result[[]wit.Rejected, wit.SendError]

func send(by sending, records []Record) error {
	if len(records) == 0 {
		return nil
	}
	answer := by(Pack(records))
	if answer.IsErr() {
		return &Error{-1, describe(answer.Err())}
	}
	var errs []error
	for _, rejected := range answer.Ok() {
		errs = append(errs, &Error{int(rejected.Index), describe(rejected.Error)})
	}
	return errors.Join(errs...)
}

func describe(err wit.SendError) string {
	switch err.Tag() {
	case kafka.SendErrorNotGranted:
		return fmt.Sprintf("topic `%s` was not granted", err.NotGranted())
	case kafka.SendErrorUnknownTopic:
		return fmt.Sprintf("there is no topic `%s`", err.UnknownTopic())
	case kafka.SendErrorUnknownPartition:
		return fmt.Sprintf("there is no partition %d", err.UnknownPartition())
	case kafka.SendErrorTooLarge:
		return fmt.Sprintf("the record is larger than %d bytes", err.TooLarge())
	case kafka.SendErrorUnavailable:
		return "the log is unavailable: " + err.Unavailable()
	default:
		return "the packed records are malformed: " + err.Malformed()
	}
}
