"""The baseline of the benchmark: empty routes on the webhook's uvicorn configuration, over TLS.

/empty is an empty FastAPI route. /bare is an empty ASGI application that bypasses FastAPI, as /mutate does. Prints its
port when it listens. Usage: floor.py TLS_CERT TLS_KEY
"""

import socket
import sys

import uvloop
from fastapi import FastAPI
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from webhook.http.serving import server
from webhook.server.run import calm_garbage_collection
from webhook.server.tls import server_context

app = FastAPI()


@app.post("/empty")
async def empty() -> None:
    pass


bare = Response(b"")


async def bypass_fastapi(scope: Scope, receive: Receive, send: Send) -> None:
    await (bare if scope["path"] == "/bare" else app)(scope, receive, send)


def main() -> None:
    context = server_context()
    context.load_cert_chain(*sys.argv[1:3])
    calm_garbage_collection()
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listening:
        print(f"port {listening.getsockname()[1]}", flush=True)
        uvloop.run(server(bypass_fastapi, context).serve([listening]))


if __name__ == "__main__":
    main()
