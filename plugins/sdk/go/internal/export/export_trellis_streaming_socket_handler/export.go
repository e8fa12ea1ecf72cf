// Package export_trellis_streaming_socket_handler is where the generated exports find the handler.
package export_trellis_streaming_socket_handler

import (
	"trellis/internal/abi/types"
	wit "trellis/internal/wit/trellis_streaming_socket_handler"
)

// Handler is who speaks the protocol.
type Handler interface {
	Open(arrival wit.Arrival) wit.Reply
	Data(bytes []byte) wit.Reply
	Drained() wit.Reply
	Woken() wit.Reply
	Closed(reason string)
	Save() types.Option[[]byte]
	Restore(arrival wit.Arrival, saved []byte) types.Result[wit.Reply, string]
}

// To is the handler.
var To Handler

// Open is called by the host.
func Open(arrival wit.Arrival) wit.Reply { return To.Open(arrival) }

// Data is called by the host.
func Data(bytes []byte) wit.Reply { return To.Data(bytes) }

// Drained is called by the host.
func Drained() wit.Reply { return To.Drained() }

// Woken is called by the host.
func Woken() wit.Reply { return To.Woken() }

// Closed is called by the host.
func Closed(reason string) { To.Closed(reason) }

// Save is called by the host.
func Save() types.Option[[]byte] { return To.Save() }

// Restore is called by the host.
func Restore(arrival wit.Arrival, saved []byte) types.Result[wit.Reply, string] {
	return To.Restore(arrival, saved)
}
