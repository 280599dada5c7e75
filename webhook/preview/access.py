"""What a preview's client and its server agree on."""

import ipaddress
from typing import Final

AUDIENCE: Final = "model-injector"
"""Of tokens that are good for nothing else. The API server's own are taken as well: they are what kubeconfigs have."""
TOKEN_HEADER: Final = "X-Model-Injector-Token"  # noqa: S105 - a name
"""Where a token stands, too: the API server's own proxy takes `Authorization` for itself."""


def is_loopback(host: str) -> bool:
    """Whether an address, or a name of one, is this machine's alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
