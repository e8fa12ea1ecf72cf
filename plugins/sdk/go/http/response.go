package http

import (
	"encoding/json"
	"fmt"

	"trellis/internal/packed"
)

// Response is an answer. The host adds `date`, `content-length` and `x-request-id`.
type Response struct {
	// 200 to 599.
	Status int
	// In lower case by custom; names may repeat.
	Headers [][2]string
	Body    []byte
}

// Bytes is 200 with a body of a media type.
func Bytes(contentType string, body []byte) *Response {
	return &Response{Status: 200, Headers: [][2]string{{"content-type", contentType}}, Body: body}
}

// Text is 200 with plain text.
func Text(text string) *Response { return Bytes("text/plain; charset=utf-8", []byte(text)) }

// HTML is 200 with a page.
func HTML(page string) *Response { return Bytes("text/html; charset=utf-8", []byte(page)) }

// JSON is 200 with a value. One that cannot be written as JSON is an error.
func JSON(value any) (*Response, error) {
	body, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return Bytes("application/json", body), nil
}

// Blob is 200 with a blob of the plugin's own, which the host sends, also in ranges. Where there is
// none the client gets 404.
func Blob(container, key string) *Response {
	return (&Response{Status: 200}).WithHeader("x-trellis-blob", container+"/"+key)
}

// Channel is 200 with the frames of a channel of the plugin's own, for as long as the client listens.
// start says where it begins: `next`, `recent=10`, `burst=65536` or `after=17`.
func Channel(name, start string) *Response {
	response := (&Response{Status: 200}).WithHeader("x-trellis-channel", name)
	return response.WithHeader("x-trellis-start", start)
}

// WithStatus changes the status.
func (r *Response) WithStatus(status int) *Response {
	r.Status = status
	return r
}

// WithHeader adds a header.
func (r *Response) WithHeader(name, value string) *Response {
	r.Headers = append(r.Headers, [2]string{name, value})
	return r
}

// Pack writes what trellis:http/packed-handler describes.
func (r *Response) Pack() (head, body []byte) {
	size := 8
	for _, header := range r.Headers {
		size += 8 + len(header[0]) + len(header[1])
	}
	head = packed.U16(append(make([]byte, 0, size), packed.Version, 0), uint16(r.Status))
	head = packed.U32(head, uint32(len(r.Headers)))
	for _, header := range r.Headers {
		head = packed.Text(packed.Text(head, header[0]), header[1])
	}
	return head, r.Body
}

// StatusError is an error that is told to the client.
type StatusError struct {
	Status int
	Text   string
}

// Status makes an error that is told to the client: a status and a sentence.
func Status(status int, text string) error { return &StatusError{status, text} }

func (e *StatusError) Error() string { return fmt.Sprintf("%d: %s", e.Status, e.Text) }
