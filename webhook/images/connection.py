"""HTTP to registries and their token servers: bounded, with proxies, and with headers for the asked host only."""

import email.utils
import time
from collections.abc import Iterable, Mapping
from threading import Event
from typing import Final, NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from webhook.errors import InjectorError
from webhook.http.loopback import is_loopback
from webhook.images.stream import Stopped, pause

LARGEST: Final = 4 << 20
"""The maximum size of a response in bytes, which is that of a manifest in many registries."""
_CONNECT_SECONDS: Final = 30
"""Also the time that the registry may take to accept a piece of a layer."""
_READ_SECONDS: Final = 300
"""Some registries copy a layer before they answer."""
_BODY_SECONDS: Final = 60
"""The maximum time from the head of a response to its end."""
_PART: Final = 1 << 16
_ATTEMPTS: Final = 8
_MOST_REDIRECTS: Final = 3
_LONGEST_WAIT_SECONDS: Final = 120
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_TEMPORARY: Final = (408, 429, 500, 502, 503, 504)


class RegistryError(InjectorError):
    """A registry refused a request, or gave an answer that cannot be used."""


class RegistryUnreachable(RegistryError):
    """A registry did not answer, or reported a temporary error. `wait` is how many seconds it asks to wait."""

    def __init__(self, message: str, wait: float = 0) -> None:
        super().__init__(message)
        self.wait = wait


class Response(NamedTuple):
    """A response. Names of headers may have any case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Connection:
    """Sends requests. Thread-safe."""

    def __init__(self, threads: int, stopped: Event, *, plain_http: bool) -> None:
        """`plain_http` allows HTTP for all hosts. It is always allowed for loopback addresses."""
        self._threads, self._stopped, self._plain_http = threads, stopped, plain_http
        self._pools: dict[str, urllib3.PoolManager] = {}

    def allows_http(self, host: str) -> bool:
        """Whether plain HTTP may be used for a host, which may have a port."""
        return self._plain_http or is_loopback(urlsplit(f"//{host}").hostname or "")

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Response:
        """Send a request, repeatedly if the host fails for the moment. GET and HEAD follow redirects.

        Another host that a redirect leads to gets no headers. Raises RegistryError, and Stopped.
        """
        failures = 0
        while True:
            try:
                return self._follow(method, url, headers or {}, body)
            except RegistryUnreachable as error:
                failures += 1
                if failures == _ATTEMPTS:
                    raise
                self.wait(failures, error)

    def wait(self, failures: int, error: RegistryUnreachable) -> None:
        """Wait before the next attempt, after so many failures in a row. Raises Stopped."""
        if self._stopped.wait(max(pause(failures), min(error.wait, _LONGEST_WAIT_SECONDS))):
            raise Stopped

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | Iterable[bytes] | None = None
    ) -> Response:
        """Send a request once. Raises RegistryUnreachable if the host fails for the moment, and RegistryError."""
        shown = self._checked(url)
        try:
            pool = self._pool(url)
            reply = pool.request(
                method, url, body=body, headers=dict(headers), retries=False, redirect=False, preload_content=False
            )
            content = _body(reply, shown)
        except urllib3.exceptions.SSLError as error:
            raise RegistryError(
                f"{shown} has no trusted certificate: {error}; if its CA is a private one, set SSL_CERT_FILE"
            ) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise RegistryUnreachable(f"{shown} does not answer: {_in_words(error)}") from error
        except ValueError:  # of http.client, whose text quotes the header
            raise RegistryError(f"{shown}: the login has a character that no header can have") from None
        if reply.status in _TEMPORARY:
            raise RegistryUnreachable(f"{shown} answers {reply.status}", _retry_after(reply.headers))
        return Response(reply.status, reply.headers, content)

    def close(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            pool.clear()

    def _follow(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Response:
        for _ in range(_MOST_REDIRECTS + 1):
            response = self.send(method, url, headers, body)
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or method not in ("GET", "HEAD") or not location:
                return response
            target = joined(url, location)
            headers, url = headers if origin(target) == origin(url) else {}, target
        raise RegistryError(f"{self._checked(url)}: more than {_MOST_REDIRECTS} redirects")

    def _checked(self, url: str) -> str:
        """A URL for messages, without its query, which may be signed. Raises RegistryError for one that is not used."""
        parts = split(url)
        if parts.scheme == "http" and not self.allows_http(parts.netloc):
            raise RegistryError(f"{parts.netloc} is to be asked over plain HTTP; use HTTPS, or allow it: --plain-http")
        return f"{parts.scheme}://{parts.netloc}{parts.path}"

    def _pool(self, url: str) -> urllib3.PoolManager:
        parts = split(url)
        proxy = "" if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme, "")
        if is_loopback(parts.hostname or ""):
            proxy = ""
        if proxy not in self._pools:
            timeout = urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS)
            self._pools[proxy] = (
                urllib3.ProxyManager(proxy, maxsize=self._threads, timeout=timeout)
                if proxy
                else urllib3.PoolManager(maxsize=self._threads, timeout=timeout)
            )
        return self._pools[proxy]


def origin(url: str) -> tuple[str, str]:
    """The scheme, host and port of a URL."""
    parts = split(url)
    return parts.scheme, parts.netloc


def joined(url: str, location: str) -> str:
    """The URL that a header `Location` means. Raises RegistryError."""
    try:
        return urljoin(url, location)
    except ValueError:
        raise RegistryError(f"{split(url).netloc} answers with an invalid location") from None


def split(url: str) -> SplitResult:
    """The parts of a URL. Raises RegistryError if it is not one of HTTP, or contains a login.

    The message does not quote the URL, which may contain a login or a signature.
    """
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
        is_valid = is_valid and (parts.port is None or parts.port > 0)
    except ValueError:
        is_valid = False
    if not is_valid:
        raise RegistryError("the registry names an address that is not a URL of HTTP, or that contains a login")
    return parts


def _body(reply: urllib3.BaseHTTPResponse, shown: str) -> bytes:
    """Read a body. Raises RegistryError if it is too large, and RegistryUnreachable if it takes too long."""
    body, deadline = bytearray(), time.monotonic() + _BODY_SECONDS
    while part := reply.read1(_PART, decode_content=False):
        body += part
        if len(body) > LARGEST:
            reply.close()
            raise RegistryError(f"{shown}: the response is larger than {LARGEST} bytes")
        if time.monotonic() > deadline:
            reply.close()
            raise RegistryUnreachable(f"{shown}: the response takes more than {_BODY_SECONDS} s")
    reply.release_conn()
    return bytes(body)


def _retry_after(headers: Mapping[str, str]) -> float:
    """The seconds of the header `Retry-After`, a number or a date. 0 without a valid one."""
    value = headers.get("Retry-After", "")
    if value.isdecimal():
        return min(float(value), _LONGEST_WAIT_SECONDS)
    try:
        return max(email.utils.parsedate_to_datetime(value).timestamp() - time.time(), 0)
    except ValueError:
        return 0


def _in_words(error: Exception) -> str:
    cause = error.__cause__ or error.__context__
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return "it took too long" if isinstance(error, urllib3.exceptions.TimeoutError) else type(cause or error).__name__
