// Package http answers HTTP requests.
//
//	func init() { http.Handle(answer) }
//
//	func answer(request *http.Request) (*http.Response, error) {
//		name := request.Param("name")
//		if name == "" {
//			return nil, http.Status(404, "nobody has no name")
//		}
//		return http.Text("hello " + name), nil
//	}
//
// An error made with Status is told to the client. Any other one is logged and answered with 500,
// as is a panic, with its stack.
package http

import (
	"encoding/json"
	"fmt"
	"iter"
	"net/url"
	"time"

	"trellis/internal/packed"
)

// Request is a request that has been read completely. Its texts share the memory it came in.
type Request struct {
	// In upper case.
	Method string
	// `http` or `https`: what the client used.
	Scheme string
	// In lower case, without the port.
	Host string
	// As it was sent, percent-encoded, starting with `/`.
	Path string
	// What follows `?`, still encoded.
	RawQuery string
	// The address of the client, also behind a trusted proxy.
	ClientIP string
	// Identifies the request in the log and in the answer's `x-request-id`.
	ID string
	// When the host had read the head.
	Time time.Time
	// The whole body.
	Body []byte

	params, headers []pair
}

type pair struct{ name, value string }

// Parse reads what trellis:http/packed-handler describes.
func Parse(head, body []byte) (*Request, error) {
	r := packed.NewReader(head)
	r.Version()
	flags := r.U8("flags")
	params, headers := uint32(r.U16("number of params")), r.U32("number of headers")
	ms := r.U64("time")
	request := &Request{
		Method: r.Text("method"), Host: r.Text("host"), Path: r.Text("path"),
		RawQuery: r.Text("query"), ClientIP: r.Text("client ip"), ID: r.Text("request id"),
		Scheme: "http", Time: time.UnixMilli(int64(ms)).UTC(), Body: body,
	}
	if flags&1 != 0 {
		request.Scheme = "https"
	}
	request.params = pairs(&r, params, "param")
	request.headers = pairs(&r, headers, "header")
	return request, r.Err()
}

// What may be set aside for pairs before they have been seen.
const usualPairs = 64

func pairs(r *packed.Reader, count uint32, what string) []pair {
	if count == 0 {
		return nil
	}
	found := make([]pair, 0, min(count, usualPairs))
	for range count {
		name, value := r.Text(what), r.Text(what)
		if r.Err() != nil {
			break
		}
		found = append(found, pair{name, value})
	}
	return found
}

// Param is what the route's `{name}` or `{*name}` matched, decoded; empty where there is none.
func (r *Request) Param(name string) string { return find(r.params, name) }

// Header is the first header of this name, which is in lower case; empty where there is none.
func (r *Request) Header(name string) string { return find(r.headers, name) }

// Headers are all of them in the order of arrival, names in lower case.
func (r *Request) Headers() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, header := range r.headers {
			if !yield(header.name, header.value) {
				return
			}
		}
	}
}

// Query is the decoded query. Pairs that cannot be decoded are left out.
func (r *Request) Query() url.Values {
	values, _ := url.ParseQuery(r.RawQuery)
	return values
}

// Form is the decoded form in the body.
func (r *Request) Form() url.Values {
	values, _ := url.ParseQuery(packed.View(r.Body))
	return values
}

// JSON reads the body; what does not fit is an error that the client gets as a 400.
func (r *Request) JSON(into any) error {
	if err := json.Unmarshal(r.Body, into); err != nil {
		return Status(400, fmt.Sprintf("the body is not what is expected: %v", err))
	}
	return nil
}

func find(pairs []pair, name string) string {
	for _, pair := range pairs {
		if pair.name == name {
			return pair.value
		}
	}
	return ""
}
