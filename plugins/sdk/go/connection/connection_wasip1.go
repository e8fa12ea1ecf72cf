// Package connection is asked about connections: websockets, event streams, answers that go on.
//
//	func init() { connection.Handle(open, events) }
//
//	func open(request *connection.Request) (*connection.Accepted, error) {
//		accepted := &connection.Accepted{Tag: request.Param("who")}
//		return accepted.Join("room", channels.Recent(10)), nil
//	}
//
//	func events(batch []connection.Event) {
//		for _, event := range batch {
//			if text, is := event.Text(); is {
//				channels.Publish("room", channels.Text(event.Tag+": "+text))
//			}
//		}
//	}
//
// No connection belongs to an instance: the next event may come to another one, or to the next
// version of the plugin. What has to be known of a connection goes into its tag.
package connection

import (
	"errors"
	"log/slog"
	"net/url"
	"time"

	"trellis/channels"
	"trellis/internal/abi/types"
	"trellis/internal/call"
	export "trellis/internal/export/export_trellis_streaming_connection_handler"
	wit "trellis/internal/wit/trellis_streaming_connection_handler"

	// The exported functions themselves.
	_ "trellis/internal/exports/connection"
)

// Transport is what a connection is on the wire.
type Transport = wit.Transport

// The transports.
const (
	Websocket   = wit.TransportWebsocket
	EventStream = wit.TransportEventStream
	Stream      = wit.TransportStream
)

// Request is who knocks.
type Request struct {
	// What the connection will be called if it is let in.
	Connection uint64
	Transport  Transport
	// In lower case, without the port.
	Host string
	// As it came, percent-encoded.
	Path string
	// What follows `?`, still encoded.
	RawQuery string
	ClientIP string
	// Identifies the request in the log.
	ID   string
	Time time.Time
	// The subprotocols that a websocket offers, the most wanted first.
	Protocols []string
	// The `last-event-id` of an event stream that comes back; 0 where there is none.
	LastEvent uint64

	params, headers []types.Tuple2[string, string]
}

// Param is what the route's `{name}` matched, decoded; empty where there is none.
func (r *Request) Param(name string) string { return find(r.params, name) }

// Header is the first header of this name, which is in lower case; empty where there is none.
func (r *Request) Header(name string) string { return find(r.headers, name) }

// Query is the decoded query. Pairs that cannot be decoded are left out.
func (r *Request) Query() url.Values {
	values, _ := url.ParseQuery(r.RawQuery)
	return values
}

func find(pairs []types.Tuple2[string, string], name string) string {
	for _, pair := range pairs {
		if pair.F0 == name {
			return pair.F1
		}
	}
	return ""
}

// Accepted is how a connection is let in.
type Accepted struct {
	// Comes with each event of the connection; at most 4,096 bytes.
	Tag string
	// Further header fields of the answer.
	Headers [][2]string
	// One of those that a websocket offers; empty for none.
	Protocol string
	// What it gets before anything else.
	First []channels.Frame
	// Put the channel's title among the bytes of a stream, after each so many; 0 does not.
	ICY uint32

	joins []types.Tuple2[string, channels.Start]
}

// Join adds a channel that it hears from the beginning.
func (a *Accepted) Join(channel string, start channels.Start) *Accepted {
	a.joins = append(a.joins, types.Tuple2[string, channels.Start]{F0: channel, F1: start})
	return a
}

// Refused is an error by which a connection is not let in: an answer like any other.
type Refused struct {
	Status  int
	Headers [][2]string
	Text    string
}

// Refuse makes the error by which a connection is not let in.
func Refuse(status int, text string) error { return &Refused{Status: status, Text: text} }

func (r *Refused) Error() string { return r.Text }

// Event is something that happened on a connection.
type Event struct {
	Connection uint64
	// The last one given to the connection.
	Tag string

	what wit.What
}

// Message is the frame that the client sent, and whether it did.
func (e Event) Message() (channels.Frame, bool) {
	if e.what.Tag() != wit.WhatMessage {
		return channels.Frame{}, false
	}
	return e.what.Message(), true
}

// Text is the text that the client sent, and whether it did.
func (e Event) Text() (string, bool) {
	frame, is := e.Message()
	if !is {
		return "", false
	}
	return channels.TextOf(frame)
}

// Closed is why the connection ended, with the code of a websocket's close, and whether it did.
func (e Event) Closed() (code uint16, reason string, is bool) {
	if e.what.Tag() != wit.WhatClosed {
		return 0, "", false
	}
	closing := e.what.Closed()
	return closing.Code, closing.Reason, true
}

// Handle says who decides about connections and who is told what came. Call it in an init function.
//
// An error of open that is no Refused is logged and answered with 500. A panic in events is logged
// with its stack, and the events come again one by one.
func Handle(open func(*Request) (*Accepted, error), events func([]Event)) {
	export.ToOpen = func(request wit.Request) types.Result[wit.Accepted, wit.Refused] {
		defer call.End()
		return decide(open, request)
	}
	export.ToEvents = func(batch []wit.Event) {
		defer call.End()
		defer call.Rethrow("events")
		lifted := make([]Event, len(batch))
		for index, event := range batch {
			lifted[index] = Event{event.Connection, event.Tag, event.What}
		}
		events(lifted)
	}
}

func decide(open func(*Request) (*Accepted, error), request wit.Request) (result types.Result[wit.Accepted, wit.Refused]) {
	defer func() {
		if reason := recover(); reason != nil {
			_ = call.Panic("open", reason)
			result = refuse(&Refused{Status: 500, Text: "internal error"})
		}
	}()
	accepted, err := open(&Request{
		Connection: request.Connection, Transport: request.Transport, Host: request.Host,
		Path: request.Path, RawQuery: request.Query.Some(), ClientIP: request.ClientIp,
		ID: request.Id, Time: time.UnixMilli(int64(request.TimeMs)).UTC(),
		Protocols: request.Protocols, LastEvent: request.LastEvent.Some(),
		params: request.Params, headers: request.Headers,
	})
	var refused *Refused
	switch {
	case errors.As(err, &refused):
		return refuse(refused)
	case err != nil:
		slog.Error("the connection was answered with 500: " + err.Error())
		return refuse(&Refused{Status: 500, Text: "internal error"})
	case accepted == nil:
		accepted = &Accepted{}
	}
	return types.Ok[wit.Accepted, wit.Refused](wit.Accepted{
		Headers: fields(accepted.Headers), Protocol: optional(accepted.Protocol),
		Tag: accepted.Tag, Join: accepted.joins, First: accepted.First, Icy: optional(accepted.ICY),
	})
}

func refuse(refused *Refused) types.Result[wit.Accepted, wit.Refused] {
	headers := append(fields(refused.Headers), types.Tuple2[string, string]{
		F0: "content-type", F1: "text/plain; charset=utf-8",
	})
	return types.Err[wit.Accepted](wit.Refused{
		Status: uint16(refused.Status), Headers: headers, Body: []byte(refused.Text),
	})
}

func fields(headers [][2]string) []types.Tuple2[string, string] {
	lowered := make([]types.Tuple2[string, string], 0, len(headers)+1)
	for _, header := range headers {
		lowered = append(lowered, types.Tuple2[string, string]{F0: header[0], F1: header[1]})
	}
	return lowered
}

func optional[T comparable](value T) types.Option[T] {
	var none T
	if value == none {
		return types.None[T]()
	}
	return types.Some(value)
}
