// Package export_trellis_http_packed_handler is where the generated export finds the handler.
package export_trellis_http_packed_handler

// To is who answers.
var To func(head, body []byte) ([]byte, []byte)

// Handle is called by the host.
func Handle(head, body []byte) ([]byte, []byte) { return To(head, body) }
