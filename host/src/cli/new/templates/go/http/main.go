// Greets whoever asks: `GET /{{name}}/ada`.
package main

import "trellis/http"

func init() { http.Handle(answer) }

func main() {}

type greeting struct {
	Hello string `json:"hello"`
}

// An error made with http.Status is told to the client; any other one is a 500 and a line in the log.
func answer(request *http.Request) (*http.Response, error) {
	return http.JSON(greeting{Hello: request.Param("who")})
}
