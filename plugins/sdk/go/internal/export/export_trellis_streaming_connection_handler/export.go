// Package export_trellis_streaming_connection_handler is where the generated exports find the
// handler.
package export_trellis_streaming_connection_handler

import (
	"trellis/internal/abi/types"
	wit "trellis/internal/wit/trellis_streaming_connection_handler"
)

// Who decides about connections, and who is told what came.
var (
	ToOpen   func(request wit.Request) types.Result[wit.Accepted, wit.Refused]
	ToEvents func(batch []wit.Event)
)

// Open is called by the host.
func Open(request wit.Request) types.Result[wit.Accepted, wit.Refused] { return ToOpen(request) }

// Events is called by the host.
func Events(batch []wit.Event) { ToEvents(batch) }
