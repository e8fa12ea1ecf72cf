"""Greets whoever asks: `GET /{{name}}/ada`."""

from trellis import http


@http.handler
def greet(request: http.Request) -> http.Response:
    return http.Response.json({"hello": request.params["who"]})
