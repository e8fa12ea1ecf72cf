package http

import (
	"trellis/internal/call"
	export "trellis/internal/export/export_trellis_http_packed_handler"

	// The exported function itself.
	_ "trellis/internal/exports/http"
)

// Handle says who answers the requests of this plugin. Call it in an init function.
func Handle(handler Handler) {
	export.To = func(head, body []byte) ([]byte, []byte) {
		defer call.End()
		return handler.Serve(head, body)
	}
}
