"""The webhook as a server: /mutate over TLS, and health and metrics on a plain port of their own."""

from webhook.server.run import serve

__all__ = ["serve"]
