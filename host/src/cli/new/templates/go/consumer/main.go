// Counts the events of a topic by their type, and answers `GET /{{name}}?type=w` with a count.
package main

import (
	"strconv"

	"trellis/consumer"
	"trellis/http"
	"trellis/keyvalue"
)

func init() {
	consumer.Handle(count)
	http.Handle(answer)
}

func main() {}

// What a message returns names itself as the one that failed; any other error lets the batch come
// again.
func count(batch *consumer.Batch) error {
	store, err := keyvalue.Open("default")
	if err != nil {
		return err
	}
	for message := range batch.Messages() {
		var event struct{ Type string }
		if err := message.JSON(&event); err != nil {
			return message.DeadLetter(err)
		}
		if _, err := store.Increment(event.Type, 1); err != nil {
			return message.Retry(err)
		}
	}
	return nil
}

func answer(request *http.Request) (*http.Response, error) {
	store, err := keyvalue.Open("default")
	if err != nil {
		return nil, err
	}
	count, err := store.Increment(request.Query().Get("type"), 0)
	if err != nil {
		return nil, err
	}
	return http.Text(strconv.FormatInt(count, 10)), nil
}
