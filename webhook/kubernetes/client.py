"""A client of the API server, configured by the pod's service account or a kubeconfig."""

import contextlib
import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from webhook.errors import InjectorError

if TYPE_CHECKING:
    from urllib3 import HTTPResponse

_SECONDS: Final = (5, 10)
"""Timeouts: to connect, and between bytes of the response."""
_BODY_SECONDS: Final = 30
"""The maximum duration of a response's body."""
_LARGEST_BODY: Final = 32 << 20
_PART: Final = 1 << 16
_KEEP_ALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)
"""A watch may be silent for minutes. If its peer does not answer for one minute, the connection is broken."""


class ClusterError(InjectorError):
    """The API server cannot be reached, or its response cannot be used."""


class RequestBody(NamedTuple):
    """The body of a request."""

    kind: str
    """The media type."""
    content: object
    """Text, sent unchanged, or an object to encode as JSON."""


class ApiResponse:
    """A response of the API server, or of a service that it proxies. `what` is the request, for messages."""

    def __init__(self, what: str, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.what, self.status, self.headers, self.content = what, status, headers, content

    def json(self) -> dict[str, Any]:
        """The JSON object in the response. Raises ClusterError for an error status or other content.

        The message never contains the response, because that may quote a Secret.
        """
        if self.status >= HTTPStatus.BAD_REQUEST:
            raise ClusterError(f"{self.what}: the API server answers {self.status}")
        with contextlib.suppress(ValueError):
            content = json.loads(self.content)
            if isinstance(content, dict):
                return content
        raise ClusterError(f"{self.what}: the response is not a JSON object")


class KubernetesClient:
    """An API server. The constructor and `request` raise ClusterError."""

    def __init__(self, context: str | None = None) -> None:
        """Connect to the cluster that this process runs in, else to the kubeconfig's `context` (default: the current).

        A `context`, or KUBECONFIG in the environment, selects the kubeconfig.
        """
        # Imported here because it is slow and not always needed. ApiClient avoids the classes of each API: 25 MiB.
        from kubernetes import config  # noqa: PLC0415
        from kubernetes.client import ApiClient, Configuration  # noqa: PLC0415
        from urllib3.connection import HTTPConnection  # noqa: PLC0415

        settings = Configuration()
        self._context, self._is_inside = context, False
        try:
            if context is not None or "KUBECONFIG" in os.environ:
                raise config.ConfigException  # noqa: TRY301
            config.load_incluster_config(client_configuration=settings)
            self._is_inside = True
        except config.ConfigException:
            try:
                config.load_kube_config(client_configuration=settings, context=context)
            except config.ConfigException as error:
                raise ClusterError(
                    f"this process runs outside a cluster and has no usable kubeconfig: {error}"
                ) from error
            except Exception as error:  # noqa: BLE001 - the library raises many types for an invalid file
                raise ClusterError(f"the kubeconfig cannot be read: {type(error).__name__}") from None
        settings.retries = False
        settings.socket_options = [*HTTPConnection.default_socket_options, *_KEEP_ALIVE]
        self._settings, self._client = settings, ApiClient(settings)

    def namespace(self) -> str | None:
        """The namespace of the kubeconfig's context. None without one, and inside a cluster."""
        from kubernetes import config  # noqa: PLC0415

        if self._is_inside:
            return None
        contexts, active = config.list_kube_config_contexts()
        selected = next((context for context in contexts if context["name"] == self._context), active)
        namespace = selected["context"].get("namespace")
        return str(namespace) if namespace else None

    def token(self) -> str | None:
        """The bearer token of requests. None when they authenticate otherwise, such as by a client certificate."""
        value = self._settings.get_api_key_with_prefix("BearerToken", alias="authorization")
        return value.split()[-1] if value else None

    def request(
        self,
        method: str,
        path: str,
        body: RequestBody | None = None,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> ApiResponse:
        """Send one request. Error statuses are returned; no response raises ClusterError."""
        what = f"{method} {path}"
        with _errors(what):
            response = self._send(method, path, body, query, headers or {}, _SECONDS)
            return ApiResponse(what, response.status, response.headers, _body(response, what))

    def stream(self, path: str, query: Sequence[tuple[str, str]], seconds: float) -> Iterator[bytes]:
        """The lines of a response that does not end, such as a watch. Raises ClusterError, also for an error status.

        It ends after `seconds` without a part of the response, at the latest.
        """
        from urllib3.exceptions import ReadTimeoutError  # noqa: PLC0415

        what = f"GET {path}"
        with _errors(what):
            response = self._send("GET", path, None, query, {}, (_SECONDS[0], seconds))
            with contextlib.closing(response):
                if response.status != HTTPStatus.OK:
                    raise ClusterError(f"{what}: the API server answers {response.status}")
                with contextlib.suppress(ReadTimeoutError):
                    yield from _lines(response, what)

    def _send(  # noqa: PLR0913, PLR0917 - a request
        self,
        method: str,
        path: str,
        body: RequestBody | None,
        query: Sequence[tuple[str, str]],
        headers: Mapping[str, str],
        timeouts: tuple[float, float],
    ) -> "HTTPResponse":
        request = self._client.param_serialize(
            method,
            path,
            query_params=list(query) or None,
            header_params={
                "Accept": "application/json",
                **headers,
                "Content-Type": body.kind if body else "application/json",
            },
            body=body.content if body else None,
            auth_settings=["BearerToken"],
        )
        response: HTTPResponse = self._client.call_api(*request, _request_timeout=timeouts).response
        return response


@contextlib.contextmanager
def _errors(what: str) -> Iterator[None]:
    """Convert the library's errors to ClusterError."""
    from kubernetes.client import ApiException  # noqa: PLC0415
    from urllib3.exceptions import HTTPError  # noqa: PLC0415

    try:
        yield
    except ApiException as error:
        raise ClusterError(f"{what}: {error.reason}") from None
    except (HTTPError, OSError) as error:
        raise ClusterError(f"{what}: {type(error).__name__}") from error
    except ValueError:  # of http.client, whose text quotes the header
        raise ClusterError(f"{what}: the token has a character that no header can have, such as a line break") from None


def _lines(response: "HTTPResponse", what: str) -> Iterator[bytes]:
    """The lines of a body. Raises ClusterError for one that is too long."""
    rest = bytearray()
    while part := response.read1(_PART):
        rest += part
        *lines, last = rest.split(b"\n")
        yield from map(bytes, lines)
        rest = bytearray(last)
        if len(rest) > _LARGEST_BODY:
            raise ClusterError(f"{what}: a line of the response takes more than {_LARGEST_BODY >> 20} MiB")


def _body(response: "HTTPResponse", what: str) -> bytes:
    """Read a body. Raises ClusterError if it is too large or takes too long."""
    body, deadline = bytearray(), monotonic() + _BODY_SECONDS
    while part := response.read1(_PART):
        body += part
        if len(body) > _LARGEST_BODY or monotonic() > deadline:
            response.close()
            limit = f"{_LARGEST_BODY >> 20} MiB" if len(body) > _LARGEST_BODY else f"{_BODY_SECONDS} s"
            raise ClusterError(f"{what}: the response takes more than {limit}")
    response.release_conn()
    return bytes(body)
