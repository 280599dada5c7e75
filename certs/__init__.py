"""Certificates that make an API server trust the webhook."""

from certs.authority import Authority, Leaf

__all__ = ["Authority", "Leaf"]
