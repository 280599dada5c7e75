"""Requests to a running webhook: to its URL, or to its Service through the API server."""

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Protocol
from urllib.parse import quote, urlsplit

import msgspec

from webhook.commands.options import add_context
from webhook.errors import InvalidInput
from webhook.fields.parsers import subdomain
from webhook.http.loopback import is_loopback
from webhook.kubernetes.client import ClusterError, KubernetesClient, RequestBody
from webhook.preview.access import TOKEN_HEADER

_CONFIGURATION: Final = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/model-injector"
_IN_CLUSTER: Final = "cluster"
_SECONDS: Final = 60
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")


class ServerResponse(NamedTuple):
    """A response of the webhook."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class PreviewServer(Protocol):
    """A running webhook."""

    def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> ServerResponse:
        """Send one request with the user's token."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that select a server."""
    parser.add_argument(
        "--server",
        nargs="?",
        const=_IN_CLUSTER,
        metavar="URL",
        help="ask a running webhook: a URL, or NAMESPACE/SERVICE in the cluster; default: the cluster's webhook",
    )
    add_context(parser)
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="a file with a bearer token, such as one of `kubectl create token`; default: the kubeconfig's token",
    )
    parser.add_argument(
        "--ca", type=Path, metavar="FILE", help="with a URL: the CA certificate (PEM) that signed its certificate"
    )


def server(options: argparse.Namespace) -> PreviewServer:
    """The server that the options select. Raises InvalidInput."""
    target, token = options.server, _read(options.token_file)
    try:
        if _is_url(target):
            return _ByUrl(target.rstrip("/"), token or _token_of(options.context), options.ca)
        api = KubernetesClient(options.context)
        namespace, name = _service(api) if target == _IN_CLUSTER else _split(target)
        return _ByService(api, f"/api/v1/namespaces/{namespace}/services/https:{name}:443/proxy", token or api.token())
    except ClusterError as error:
        raise InvalidInput(f"the cluster does not answer: {error}") from error


def namespace(context: str | None) -> str:
    """The namespace of the kubeconfig's context, or `default`."""
    try:
        return KubernetesClient(context).namespace() or "default"
    except ClusterError:
        return "default"


def preview(server: PreviewServer, body: bytes, namespace: str) -> bytes:
    """The server's preview of a manifest (JSON). Raises InvalidInput for an error response."""
    headers = {"Content-Type": "application/yaml", "Accept": "application/json"}
    reply = server.request("POST", f"/preview?namespace={quote(namespace)}", body, headers)
    if reply.status == 200:
        return reply.content
    try:
        failure = msgspec.json.decode(reply.content, type=_Failure)
    except (msgspec.MsgspecError, ValueError):
        failure = _Failure()
    error = failure.error or failure.message or "it is not this webhook, or a proxy answers for it"
    hint = "; see --token-file" if reply.status == 401 else ""
    raise InvalidInput(f"the server answers {reply.status}: {error}{hint}")


@dataclass(frozen=True)
class _ByUrl:
    url: str
    token: str | None
    authority: Path | None

    def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> ServerResponse:
        import urllib3  # noqa: PLC0415 - slow, and only needed here

        credentials = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if self.token and not self.url.startswith("https:") and not is_loopback(urlsplit(self.url).hostname or ""):
            raise InvalidInput(f"{self.url} is plain HTTP, over which no token is sent; use an https URL")
        authority = str(self.authority) if self.authority else None
        try:
            with urllib3.PoolManager(retries=False, timeout=_SECONDS, ca_certs=authority) as pool:
                reply = pool.request(
                    method, self.url + path, body=body or None, headers={**credentials, **(headers or {})}
                )
                return ServerResponse(reply.status, reply.headers, reply.data)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise InvalidInput(f"{self.url} does not answer: {error}") from error


@dataclass(frozen=True)
class _ByService:
    """A Service that is reached through the API server's proxy, as by `kubectl proxy`."""

    api: KubernetesClient
    path: str
    token: str | None

    def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> ServerResponse:
        sent_headers = {**(headers or {})}
        # The API server consumes the header Authorization.
        authorization = sent_headers.pop("Authorization", f"Bearer {self.token}" if self.token else None)
        if authorization:
            sent_headers[TOKEN_HEADER] = authorization.removeprefix("Bearer ")
        sent_body = RequestBody("application/yaml", body) if body else None
        try:
            reply = self.api.request(method, self.path + path, sent_body, headers=sent_headers)
        except ClusterError as error:
            raise InvalidInput(f"the cluster does not answer: {error}") from error
        return ServerResponse(reply.status, reply.headers, reply.content)


def _service(api: KubernetesClient) -> tuple[str, str]:
    """The namespace and name of the Service in the cluster's MutatingWebhookConfiguration."""
    reply = api.request("GET", _CONFIGURATION)
    problem = {403: "may not be read by this user", 404: "does not exist"}.get(reply.status)
    if problem is None:
        try:
            webhooks = msgspec.convert(reply.json(), _Configuration).webhooks
        except msgspec.ValidationError:
            webhooks = ()
        for entry in webhooks:
            if service := entry.client_config.service:
                return _split(f"{service.namespace}/{service.name}")
        problem = "names no Service"
    raise InvalidInput(f"the MutatingWebhookConfiguration model-injector {problem}; give --server NAMESPACE/SERVICE")


class _Failure(msgspec.Struct):
    """An error response: of the webhook, or a Status of the API server."""

    error: str = ""
    message: str = ""


class _ServiceReference(msgspec.Struct):
    namespace: str
    name: str


class _ClientConfig(msgspec.Struct):
    service: _ServiceReference | None = None


class _Webhook(msgspec.Struct, rename="camel"):
    client_config: _ClientConfig


class _Configuration(msgspec.Struct):
    """The fields of a MutatingWebhookConfiguration that are read."""

    webhooks: tuple[_Webhook, ...] = ()


def _is_url(target: str) -> bool:
    try:
        return urlsplit(target).scheme in ("http", "https") and bool(urlsplit(target).hostname)
    except ValueError:
        return False


def _split(target: str) -> tuple[str, str]:
    namespace, _, name = target.partition("/")
    try:
        return subdomain(namespace), subdomain(name)
    except ValueError:
        raise InvalidInput(
            f"--server {target!r} is neither a URL, such as https://localhost:8443, nor NAMESPACE/SERVICE"
        ) from None


def _token_of(context: str | None) -> str | None:
    """The kubeconfig's token. None without a kubeconfig, because the server may not need a token."""
    try:
        return KubernetesClient(context).token()
    except ClusterError:
        return None


def _read(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        token = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"--token-file {file}: {error}") from error
    if not _TOKEN.fullmatch(token):
        raise InvalidInput(f"--token-file {file}: the file has to contain one token and nothing else")
    return token
