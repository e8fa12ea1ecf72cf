// Package socket speaks a protocol of your own over TCP: one value, in an instance of its own, a
// connection. Where it listens is in the manifest, in `[[listen]]`.
//
//	func init() { socket.Handle(func() socket.Socket { return &echo{} }) }
//
//	// Sends back what it is sent.
//	type echo struct{ socket.Base }
//
//	func (*echo) Data(bytes []byte) socket.Reply { return socket.Reply{Send: bytes} }
package socket

import (
	"time"

	"trellis/internal/abi/types"
	"trellis/internal/call"
	export "trellis/internal/export/export_trellis_streaming_socket_handler"
	wit "trellis/internal/wit/trellis_streaming_socket_handler"

	// The exported functions themselves.
	_ "trellis/internal/exports/socket"
)

// Arrival is who came: its number, the name of the listener, the client, and when.
type Arrival = wit.Arrival

// Reply is what is to happen; its zero value is nothing.
type Reply struct {
	// Bytes for the client, behind those before.
	Send []byte
	// Call Drained once the system has taken all.
	TellDrained bool
	// Call Woken so long from now, at most a day; 0 changes nothing.
	Wake time.Duration
	// Close the connection once all has been sent, with a reason for people.
	Close  bool
	Reason string
}

// Socket is one connection. Base does nothing in all of its methods.
type Socket interface {
	// A client has come.
	Open(arrival Arrival) Reply
	// The client sent bytes, at most 64 KiB at a time, cut anywhere.
	Data(bytes []byte) Reply
	// All that was sent has been taken.
	Drained() Reply
	// The time has come that a reply asked for.
	Woken() Reply
	// The connection has ended, whoever ended it.
	Closed(reason string)
	// What the next version has to know to go on; nil: the connection stays with this version.
	Save() []byte
	// Go on with what an earlier version saved; an error leaves the connection with that version.
	Restore(arrival Arrival, saved []byte) (Reply, error)
}

// Base is a Socket that does nothing, to be embedded.
type Base struct{}

// Open does nothing.
func (Base) Open(Arrival) Reply { return Reply{} }

// Data does nothing.
func (Base) Data([]byte) Reply { return Reply{} }

// Drained does nothing.
func (Base) Drained() Reply { return Reply{} }

// Woken does nothing.
func (Base) Woken() Reply { return Reply{} }

// Closed does nothing.
func (Base) Closed(string) {}

// Save saves nothing.
func (Base) Save() []byte { return nil }

// Restore refuses.
func (Base) Restore(Arrival, []byte) (Reply, error) { return Reply{}, errNothing }

type nothing struct{}

func (nothing) Error() string { return "it goes on with nothing that was saved" }

var errNothing nothing

// Handle says what makes the value of a connection. Call it in an init function. A panic is logged
// with its stack, and the connection is closed.
func Handle(make func() Socket) { export.To = &handler{make: make} }

type handler struct {
	make   func() Socket
	socket Socket
}

func (h *handler) reply(work func() Reply) wit.Reply {
	defer call.End()
	defer call.Rethrow("the socket")
	return lower(work())
}

func (h *handler) Open(arrival wit.Arrival) wit.Reply {
	return h.reply(func() Reply {
		h.socket = h.make()
		return h.socket.Open(arrival)
	})
}

func (h *handler) Data(bytes []byte) wit.Reply {
	return h.reply(func() Reply { return h.socket.Data(bytes) })
}

func (h *handler) Drained() wit.Reply { return h.reply(func() Reply { return h.socket.Drained() }) }

func (h *handler) Woken() wit.Reply { return h.reply(func() Reply { return h.socket.Woken() }) }

func (h *handler) Closed(reason string) {
	h.reply(func() Reply {
		h.socket.Closed(reason)
		return Reply{}
	})
}

func (h *handler) Save() types.Option[[]byte] {
	defer call.End()
	defer call.Rethrow("the socket")
	if saved := h.socket.Save(); saved != nil {
		return types.Some(saved)
	}
	return types.None[[]byte]()
}

func (h *handler) Restore(arrival wit.Arrival, saved []byte) types.Result[wit.Reply, string] {
	defer call.End()
	defer call.Rethrow("the socket")
	h.socket = h.make()
	reply, err := h.socket.Restore(arrival, saved)
	if err != nil {
		return types.Err[wit.Reply](err.Error())
	}
	return types.Ok[wit.Reply, string](lower(reply))
}

func lower(reply Reply) wit.Reply {
	lowered := wit.Reply{Send: reply.Send, TellDrained: reply.TellDrained}
	if reply.Wake > 0 {
		lowered.WakeMs = types.Some(uint32(reply.Wake.Milliseconds()))
	}
	if reply.Close {
		lowered.Close = types.Some(reply.Reason)
	}
	return lowered
}
