// A room: what one says, all hear. `npx wscat -c ws://127.0.0.1:8080/{{name}}/ada`
package main

import (
	"log/slog"

	"trellis/channels"
	"trellis/connection"
)

func init() { connection.Handle(open, events) }

func main() {}

func open(request *connection.Request) (*connection.Accepted, error) {
	accepted := &connection.Accepted{Tag: request.Param("who")}
	return accepted.Join("room", channels.Recent(10)), nil
}

func events(batch []connection.Event) {
	for _, event := range batch {
		if text, is := event.Text(); is {
			if err := channels.Publish("room", channels.Text(event.Tag+": "+text)); err != nil {
				slog.Warn("nobody heard it", "reason", err)
			}
		}
	}
}
