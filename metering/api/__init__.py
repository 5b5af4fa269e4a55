"""The HTTP API: what was used, what it costs, and when that is final, for those who have a token.

The way of a request, a file a step:

    observing    a span, a measurement, and an answer to what nobody foresaw
    access       who asks: a snapshot of the database, the token, its rate and its scope
    a resource   `meters`, `usage`, …: one file each, with the shape of its answer
    cursors      where a list goes on
    etags        whether the reader has it already
    problems     everything that was refused, as a problem document

`run` puts it together, `app` is the whole as one ASGI app, `openapi` writes its description.

What is logged, under names that do not change, with its fields:

    api_listening     requests can be sent; whether they can be served is what `/readyz` says [host, port]
    request_failed    our side could not serve one [code, method, path, error]
    stopping          the first SIGTERM or SIGINT [signal]
    stopped           the last line [code]
"""

from metering.api.run import run

__all__ = ["run"]
