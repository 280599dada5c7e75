"""A running webhook, as commands ask it: by its URL, or by its Service through the API server."""

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Protocol
from urllib.parse import quote, urlsplit

import msgspec

from webhook.errors import InvalidInput
from webhook.fields.parsers import subdomain
from webhook.kubernetes.client import ClusterError, KubernetesClient, RequestBody
from webhook.preview.access import TOKEN_HEADER, is_loopback

_CONFIGURATION: Final = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/model-injector"
_IN_CLUSTER: Final = "cluster"
_SECONDS: Final = 60
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")


class ServerResponse(NamedTuple):
    """What a server has answered."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class PreviewServer(Protocol):
    """A webhook that answers. Raises InvalidInput where it does not."""

    def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> ServerResponse:
        """Send one request with the user's token."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that lead to a server."""
    parser.add_argument(
        "--server",
        nargs="?",
        const=_IN_CLUSTER,
        metavar="URL",
        help="ask a running webhook: at a URL, as NAMESPACE/SERVICE of the cluster, or, given none, the cluster's own",
    )
    parser.add_argument("--context", help="the kubeconfig's context; default: its current one")
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="the token to show, such as `kubectl create token` makes; default: the kubeconfig's",
    )
    parser.add_argument("--ca", type=Path, metavar="FILE", help="with a URL: the authority of its certificate, as PEM")


def server(options: argparse.Namespace) -> PreviewServer:
    """The server that the options lead to. Raises InvalidInput."""
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
    """The namespace of the kubeconfig's context."""
    try:
        return KubernetesClient(context).namespace() or "default"
    except ClusterError:
        return "default"


def preview(server: PreviewServer, body: bytes, namespace: str) -> bytes:
    """The server's preview of a manifest, as JSON. Raises InvalidInput where it gives none."""
    headers = {"Content-Type": "application/yaml", "Accept": "application/json"}
    reply = server.request("POST", f"/preview?namespace={quote(namespace)}", body, headers)
    if reply.status == 200:
        return reply.content
    try:
        error = msgspec.json.decode(reply.content, type=dict[str, str])["error"]
    except (msgspec.MsgspecError, LookupError, ValueError):
        error = "it is not this webhook, or a proxy answers for it"
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
        import urllib3  # noqa: PLC0415 - what is decided here need not wait for it

        shown = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if self.token and not self.url.startswith("https:") and not is_loopback(urlsplit(self.url).hostname or ""):
            raise InvalidInput(f"{self.url} is plain HTTP, and no token goes over that")
        authority = str(self.authority) if self.authority else None
        try:
            with urllib3.PoolManager(retries=False, timeout=_SECONDS, ca_certs=authority) as pool:
                reply = pool.request(method, self.url + path, body=body or None, headers={**shown, **(headers or {})})
                return ServerResponse(reply.status, reply.headers, reply.data)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise InvalidInput(f"{self.url} does not answer: {error}") from error


@dataclass(frozen=True)
class _ByService:
    """Through the API server, as `kubectl proxy` does: nothing but the cluster's own API has to be reached."""

    api: KubernetesClient
    path: str
    token: str | None

    def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> ServerResponse:
        given = {**(headers or {})}
        shown = given.pop("Authorization", f"Bearer {self.token}" if self.token else None)
        if shown:
            given[TOKEN_HEADER] = shown.removeprefix("Bearer ")
        sent = RequestBody("application/yaml", body) if body else None
        try:
            reply = self.api.request(method, self.path + path, sent, headers=given)
        except ClusterError as error:
            raise InvalidInput(f"the cluster does not answer: {error}") from error
        return ServerResponse(reply.status, reply.headers, reply.content)


def _service(api: KubernetesClient) -> tuple[str, str]:
    """The Service of the webhook that API servers ask."""
    try:
        entries = msgspec.convert(api.request("GET", _CONFIGURATION).json(), _Configuration).webhooks
    except msgspec.ValidationError:
        entries = ()
    for entry in entries:
        if service := entry.client_config.service:
            return _split(f"{service.namespace}/{service.name}")
    raise InvalidInput("the MutatingWebhookConfiguration names no Service; give --server NAMESPACE/SERVICE")


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
            f"--server {target!r}: neither a URL, such as https://localhost:8443, nor NAMESPACE/SERVICE"
        ) from None


def _token_of(context: str | None) -> str | None:
    """The kubeconfig's token; none where there is no kubeconfig, for a server may ask for none."""
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
        raise InvalidInput(f"--token-file {file}: it holds something else than one token")
    return token
