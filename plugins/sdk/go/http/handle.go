package http

import (
	"errors"
	"log/slog"

	"trellis/internal/call"
)

// Handler answers one request.
type Handler func(*Request) (*Response, error)

// Serve is one call of the packed handler.
func (h Handler) Serve(head, body []byte) (answerHead, answerBody []byte) {
	return h.answer(head, body).Pack()
}

func (h Handler) answer(head, body []byte) (response *Response) {
	defer func() {
		if reason := recover(); reason != nil {
			_ = call.Panic("the handler", reason)
			response = internal()
		}
	}()
	request, err := Parse(head, body)
	if err == nil && h == nil {
		err = errors.New("nothing answers requests: call http.Handle in an init function")
	}
	if err == nil {
		response, err = h(request)
	}
	var told *StatusError
	switch {
	case errors.As(err, &told):
		return Text(told.Text).WithStatus(told.Status)
	case err != nil:
		slog.Error("the request was answered with 500: " + err.Error())
		return internal()
	case response == nil:
		slog.Error("the request was answered with 500: the handler returned neither an answer nor an error")
		return internal()
	}
	return response
}

func internal() *Response { return Text("internal error").WithStatus(500) }
