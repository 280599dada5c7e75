"""The server: /mutate and the web application over TLS, health and metrics on a separate plain HTTP port."""

from webhook.server.run import serve

__all__ = ["serve"]
