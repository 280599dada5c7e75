"""Constants and checks that the client and the server of a preview share."""

import ipaddress
from typing import Final

AUDIENCE: Final = "model-injector"
"""The audience of tokens that are valid for previews only. The server also accepts tokens with the API server's default
audience, because those are the tokens in kubeconfig files."""
TOKEN_HEADER: Final = "X-Model-Injector-Token"  # noqa: S105 - a header's name
"""An alternative to `Authorization`, because the API server's proxy consumes that header."""


def is_loopback(host: str) -> bool:
    """Whether a host name or an IP address, optionally in brackets, is a loopback address. Does not query DNS."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
