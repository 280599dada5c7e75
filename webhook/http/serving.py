"""uvicorn servers as this program runs them: bounded, and stopped by the program and not by signals."""

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
"""Longer than the 90 s for which the API server keeps a connection: the side that closes first loses requests."""
_IN_FLIGHT_SECONDS: Final = 5


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to the program: uvicorn would close idle connections at once."""
        yield


def server(app: ASGIApp, context: ssl.SSLContext | None = None) -> uvicorn.Server:
    """A server for an application: over TLS where there is a context for it."""
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
    """A socket that listens; of IPv4 and IPv6 where no host is named. Raises InvalidInput."""
    dual_stack = not host and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual_stack or ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048, dualstack_ipv6=dual_stack)
    except OSError as error:
        raise InvalidInput(f"cannot listen on {host or 'any address'} port {port}: {error}") from error
