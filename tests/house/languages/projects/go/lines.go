package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"trellis/channels"
	"trellis/socket"
)

func init() { socket.Handle(func() socket.Socket { return &lines{} }) }

// A client that says lines.
type lines struct {
	socket.Base
	connection uint64
	count      int
	rest       []byte
}

func (l *lines) Open(arrival socket.Arrival) socket.Reply {
	l.connection = arrival.Connection
	return socket.Reply{Send: []byte("hello " + arrival.Listener + "\n")}
}

func (l *lines) Data(data []byte) (reply socket.Reply) {
	l.rest = append(l.rest, data...)
	for {
		line, rest, is := bytes.Cut(l.rest, []byte("\n"))
		if !is {
			return reply
		}
		l.rest = rest
		l.count++
		l.obey(string(line), &reply)
	}
}

func (l *lines) obey(line string, reply *socket.Reply) {
	say := func(text string) { reply.Send = append(reply.Send, text...) }
	switch line {
	case "wake":
		reply.Wake = 10 * time.Millisecond
	case "drain":
		say(strings.Repeat("x", 100_000) + "\n")
		reply.TellDrained = true
	case "join":
		if err := channels.Join(l.connection, "room", channels.Next()); err != nil {
			slog.Error(err.Error())
		}
		say("joined\n")
	case "fall":
		panic("asked to fall")
	case "bye":
		say("bye\n")
		reply.Close, reply.Reason = true, "asked"
	default:
		say(fmt.Sprintf("%d %s\n", l.count, line))
	}
}

func (*lines) Drained() socket.Reply { return socket.Reply{Send: []byte("drained\n")} }

func (*lines) Woken() socket.Reply { return socket.Reply{Send: []byte("woken\n")} }

func (l *lines) Closed(reason string) {
	if err := keep("closed", fmt.Sprintf("%d %s", l.count, reason)); err != nil {
		slog.Error(err.Error())
	}
}

func (l *lines) Save() []byte { return fmt.Appendf(nil, "%d %s", l.count, l.rest) }

func (l *lines) Restore(arrival socket.Arrival, saved []byte) (socket.Reply, error) {
	l.connection = arrival.Connection
	count, rest, _ := bytes.Cut(saved, []byte(" "))
	l.rest = rest
	_, err := fmt.Sscan(string(count), &l.count)
	return socket.Reply{}, err
}
