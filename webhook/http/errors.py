"""HTTP requests that get an error as their answer, by its status."""

from typing import ClassVar

from webhook.errors import InjectorError


class RequestError(InjectorError):
    """The request is invalid."""

    status: ClassVar[int] = 400


class BodyTooLarge(RequestError):
    """The request's body is larger than the server reads."""

    status = 413


class TooManyRequests(RequestError):
    """The client exceeds its rate. It may ask again in `seconds`."""

    status = 429

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many requests; try again in {seconds} s")
        self.seconds = seconds


class Busy(RequestError):
    """The server is at its limit of memory or of concurrent work."""

    status = 503
