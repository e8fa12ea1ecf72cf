// Counts the events of a topic by their type, exactly once, and answers with the counts.
package main

import (
	"errors"
	"log/slog"

	"trellis/consumer"
	"trellis/http"
	"trellis/sql"
)

func init() {
	consumer.Handle(count)
	http.Handle(answer)
}

func main() {}

const add = `INSERT INTO tally (type, events) VALUES ($1, $2)
	ON CONFLICT (type) DO UPDATE SET events = tally.events + excluded.events`

// count adds up a batch in memory, so that each type is written once for all its messages. Those
// before the first that is no event are stored; that one is put aside.
func count(batch *consumer.Batch) error {
	counts := map[string]int64{}
	noEvent := tally(batch, counts)
	statements := make([]sql.Statement, 0, len(counts))
	for kind, events := range counts {
		statements = append(statements, sql.Do(add, kind, events))
	}
	if _, err := sql.Batch(statements); err != nil {
		return err
	}
	return noEvent
}

func tally(batch *consumer.Batch, counts map[string]int64) error {
	for message := range batch.Messages() {
		var event struct{ Type string }
		if err := message.JSON(&event); err != nil {
			return message.DeadLetter(err)
		}
		if event.Type == "" {
			return message.DeadLetter(errors.New("an event has a `type`"))
		}
		counts[event.Type]++
	}
	return nil
}

// answer tells all counts: {"w": 3}.
func answer(*http.Request) (*http.Response, error) {
	rows, err := sql.Query("SELECT type, events FROM tally ORDER BY type")
	if err != nil {
		return nil, err
	}
	counts := map[string]int64{}
	for row := range rows.All() {
		counts[row.Text("type")] = row.Int("events")
	}
	slog.Debug("counts were asked for", "types", len(counts))
	return http.JSON(counts)
}
