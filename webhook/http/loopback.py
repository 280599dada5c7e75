"""Recognizing addresses that only this machine can reach."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether a host name or an IP address, optionally in brackets, is a loopback address. Does not query DNS."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
