// Package client asks other hosts. They are named in `[needs.http] hosts` of the manifest.
//
//	answer, err := client.Send(client.Request{URL: "https://api.example.org/places?q=lake"})
//
// A redirect is an answer like any other. An answer has at most 16 MiB.
package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"trellis/internal/abi/types"
	wit "trellis/internal/wit/trellis_http_client"
)

// What errors are told by with errors.Is; their texts say more.
var (
	ErrInvalid     = errors.New("the request cannot be sent")
	ErrNotGranted  = errors.New("the host was not granted")
	ErrTimeout     = errors.New("the answer took too long")
	ErrTooLarge    = errors.New("the request or the answer is too large")
	ErrUnavailable = errors.New("the host cannot be reached")
)

// Request is a request to another host.
type Request struct {
	// Empty is GET.
	Method  string
	URL     string
	Headers [][2]string
	Body    []byte
	// The longest wait; 0 is what is left of the call's own time.
	Timeout time.Duration
}

// Response is what it answered, whatever its status.
type Response struct {
	Status int
	// In the order of arrival, names in lower case.
	Headers [][2]string
	Body    []byte
}

// Header is the first header of this name, in lower case; empty where there is none.
func (r *Response) Header(name string) string {
	for _, header := range r.Headers {
		if header[0] == name {
			return header[1]
		}
	}
	return ""
}

// JSON reads the body.
func (r *Response) JSON(into any) error { return json.Unmarshal(r.Body, into) }

// Answer is what came of one of several requests.
type Answer struct {
	Response *Response
	Err      error
}

// Send sends a request and waits for the whole answer.
func Send(request Request) (*Response, error) {
	answer := lift(wit.Send(lower(request)))
	return answer.Response, answer.Err
}

// SendAll sends at most 64 requests at once and waits for all answers, one for each in its order.
func SendAll(requests ...Request) []Answer {
	lowered := make([]wit.Request, len(requests))
	for index, request := range requests {
		lowered[index] = lower(request)
	}
	answers := make([]Answer, 0, len(requests))
	for _, answer := range wit.SendAll(lowered) {
		answers = append(answers, lift(answer))
	}
	return answers
}

func lower(request Request) wit.Request {
	lowered := wit.Request{Method: request.Method, Url: request.URL, Body: request.Body}
	if request.Method == "" {
		lowered.Method = "GET"
	}
	for _, header := range request.Headers {
		field := types.Tuple2[string, string]{F0: header[0], F1: header[1]}
		lowered.Headers = append(lowered.Headers, field)
	}
	if request.Timeout > 0 {
		lowered.TimeoutMs = types.Some(uint32(request.Timeout.Milliseconds()))
	}
	return lowered
}

func lift(result types.Result[wit.Response, wit.Error]) Answer {
	if result.IsErr() {
		return Answer{Err: describe(result.Err())}
	}
	found := result.Ok()
	response := &Response{Status: int(found.Status), Body: found.Body}
	for _, field := range found.Headers {
		response.Headers = append(response.Headers, [2]string{field.F0, field.F1})
	}
	return Answer{Response: response}
}

func describe(err wit.Error) error {
	switch err.Tag() {
	case wit.ErrorInvalid:
		return fmt.Errorf("%w: %s", ErrInvalid, err.Invalid())
	case wit.ErrorNotGranted:
		return fmt.Errorf("%w: %s", ErrNotGranted, err.NotGranted())
	case wit.ErrorTimeout:
		return ErrTimeout
	case wit.ErrorTooLarge:
		return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, err.TooLarge())
	default:
		return fmt.Errorf("%w: %s", ErrUnavailable, err.Unavailable())
	}
}
