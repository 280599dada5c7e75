"""Errors that become HTTP responses; each class has its status."""

from typing import ClassVar

from webhook.errors import InjectorError


class RequestError(InjectorError):
    """The request is invalid."""

    status: ClassVar[int] = 400


class BodyTooLarge(RequestError):
    """The request's body is larger than the limit."""

    status = 413


class TooManyRequests(RequestError):
    """The client exceeds its rate limit. It may try again in `seconds`."""

    status = 429

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many requests; try again in {seconds} s")
        self.seconds = seconds


class Busy(RequestError):
    """The server is at its limit of memory or of concurrent requests."""

    status = 503
