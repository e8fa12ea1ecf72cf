// All that a plugin can be and use, in Go: see everything.rs.
package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"trellis/channels"
	"trellis/connection"
	"trellis/http"
	"trellis/job"
	"trellis/keyvalue"
	"trellis/lifecycle"
)

func init() {
	http.Handle(answer)
	connection.Handle(enter, hear)
	job.Handle(tick)
	lifecycle.Handle(lifecycle.Hooks{Start: start, Save: save, Stop: stop})
}

func main() {}

var state, began string

func start(saved []byte) error {
	if string(saved) == "refuse" {
		return errors.New("asked to refuse")
	}
	began = "swapped"
	if saved == nil {
		began = "fresh"
	}
	state = string(saved)
	return nil
}

func save() []byte { return []byte(state) }

func stop() { slog.Info("stopped with " + state) }

func answer(request *http.Request) (*http.Response, error) {
	what := request.Param("what")
	if use, is := uses[what]; is {
		told, err := use()
		return http.Text(told), err
	}
	switch what {
	case "ask":
		told, err := ask(request.Query().Get("where"))
		return http.Text(told), err
	case "file":
		return http.Blob("files", "b"), nil
	case "publish":
		return http.Text("done"), channels.Publish("room", channels.Text(string(request.Body)))
	case "fail":
		return http.Text("done"), keep("fail", "yes")
	case "state":
		if request.Method == "POST" {
			state = string(request.Body)
		}
		return http.Text(began + " " + state), nil
	}
	store, err := keyvalue.Open("default")
	if err != nil {
		return nil, err
	}
	defer store.Close()
	value, is, err := store.Get(what)
	return http.Text(said(value, is)), err
}

func said(value []byte, is bool) string {
	if !is {
		return "none"
	}
	return string(value)
}

func keep(key, value string) error {
	store, err := keyvalue.Open("default")
	if err != nil {
		return err
	}
	defer store.Close()
	return store.Set(key, []byte(value))
}

func enter(request *connection.Request) (*connection.Accepted, error) {
	who := request.Param("who")
	if who == "nobody" {
		return nil, connection.Refuse(403, "not you")
	}
	accepted := &connection.Accepted{Tag: who, First: []channels.Frame{channels.Text("welcome " + who)}}
	return accepted.Join("room", channels.Recent(10)), nil
}

func hear(batch []connection.Event) {
	for _, event := range batch {
		if err := heard(event); err != nil {
			slog.Error(err.Error())
		}
	}
}

func heard(event connection.Event) error {
	if code, _, is := event.Closed(); is {
		return keep("closed", fmt.Sprintf("%s %d", event.Tag, code))
	}
	text, is := event.Text()
	name, renames := strings.CutPrefix(text, "rename ")
	switch {
	case !is:
		frame, _ := event.Message()
		return channels.Send(event.Connection, frame)
	case renames:
		err := channels.Retag(event.Connection, name)
		return errors.Join(err, channels.Send(event.Connection, channels.Text("you are "+name)))
	case text == "leave":
		channels.Leave(event.Connection, "room")
		return channels.Send(event.Connection, channels.Text("you left"))
	case text == "bye":
		return channels.Close(event.Connection, 1000, "asked")
	default:
		return channels.Publish("room", channels.Text(event.Tag+": "+text))
	}
}

func tick(job job.Job) error {
	store, err := keyvalue.Open("default")
	if err != nil {
		return err
	}
	defer store.Close()
	if fails, err := store.Exists("fail"); fails || err != nil {
		return errors.Join(errors.New("asked to fail"), err)
	}
	key := "others"
	if job.Name == "tick" {
		key = "runs"
	}
	_, err = store.Increment(key, 1)
	return err
}
