"""uvicorn servers with limits, which this program stops itself instead of uvicorn's signal handlers."""

import contextlib
import socket
import ssl
from collections.abc import Generator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from webhook.errors import InvalidInput
from webhook.http.protocol import BoundedProtocol

KEEP_ALIVE_SECONDS: Final = 120
"""Longer than the API server's 90 s, because a server that closes an idle connection first can lose a request."""
_IN_FLIGHT_SECONDS: Final = 5


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Install no signal handlers: uvicorn's would close idle connections immediately."""
        yield


def server(app: ASGIApp, context: ssl.SSLContext | None = None) -> uvicorn.Server:
    """A server for an application, over TLS if a context is given."""
    config = uvicorn.Config(
        app,
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_IN_FLIGHT_SECONDS,
        ssl_context_factory=(lambda *_: context) if context else None,
    )
    return _Server(config)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, for IPv4 and IPv6 if `host` is empty. Raises InvalidInput."""
    dual_stack = not host and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual_stack or ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048, dualstack_ipv6=dual_stack)
    except OSError as error:
        raise InvalidInput(f"cannot listen on {host or 'any address'} port {port}: {error}") from error
