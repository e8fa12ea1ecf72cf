"""Plugins of Trellis in Python.

A plugin is a folder with a `plugin.toml` and a `plugin.py`. What runs it is a function with a
decorator, what it uses is a module of this package:

    from trellis import http

    @http.handler
    def hello(request: http.Request) -> http.Response:
        return http.Response.text(f"hello {request.query_value('name', 'world')}")

Runs it: `http`, `consumer`, `connection`, `socket`, `job`; `lifecycle` has hooks. Is used by it: `producer`, `sql`,
`keyvalue`, `cache`, `blobs`, `channels`, `presence`, `mailbox`, `client`, `config`, `metrics`,
`geoip`. A module that the manifest does not ask for cannot be imported, and says what to add.
`print` and `logging` write to the host's log.
"""

from trellis._errors import Error

__all__ = ["Error"]
