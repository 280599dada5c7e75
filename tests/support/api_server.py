"""As much of an API server as the webhook and its commands need: objects by path, resourceVersion, three kinds of
patch, lists in pages, watches, a clock, TokenReview, SubjectAccessReview, and the proxy to a Service.

`kubernetes.client` talks to it over HTTP. It agrees with the real one where a test here asks: a stale resourceVersion
is a 409, server-side apply creates, a null in a merge patch removes, and webhooks are merged by name; a token is good
for its own audiences alone, and the proxy keeps `Authorization` to itself.
"""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import httpx
import pytest
import yaml

JSON = dict[str, Any]
CUT, HOLD = "cut", "hold"
"""Instead of an event of a watch: the connection breaks, or nothing comes until the server ends."""


class Received(NamedTuple):
    """A request with a body."""

    method: str
    path: str
    query: dict[str, str]
    kind: str
    """The media type of the body."""
    body: JSON


@dataclass
class ApiServer:
    """A running one. `objects` are by path; `requests` are its methods and paths, in order."""

    port: int = 0
    clock_ahead: float = 0
    """Seconds by which its clock is ahead of this machine's."""
    answer: int | None = None
    """A status that every request gets, until this is None again."""
    body: bytes | None = None
    """What every request gets as body, until this is None again."""
    objects: dict[str, JSON] = field(default_factory=dict)
    lists: dict[str, list[JSON]] = field(default_factory=dict)
    """By path: the items of a list."""
    list_version: str = "1"
    """The resourceVersion of lists."""
    watched: dict[str, list[list[JSON | str]]] = field(default_factory=dict)
    """By path: the events of each watch, in order. A watch beyond those ends at once."""
    watches: list[dict[str, str]] = field(default_factory=list)
    """The queries of watches, in order."""
    received: list[Received] = field(default_factory=list)
    keeps_lists: bool = True
    """Whether a list can be continued. Else its later pages are 410."""
    users: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By token: the user's name, and the audience that the token is for, empty for the API server's own."""
    groups: dict[str, list[str]] = field(default_factory=dict)
    """By user: groups beside the one that all are in."""
    rights: set[tuple[str, str]] = field(default_factory=set)
    """Users or groups, and the namespaces in which they may create pods."""
    denied: set[str] = field(default_factory=set)
    """Users that one authorizer denies, although a different authorizer may allow them."""
    reviews: list[tuple[str, JSON]] = field(default_factory=list)
    """The kinds and specs of reviews that it was asked for, in order."""
    audiences: list[str] | None = None
    """What every TokenReview tells of audiences instead."""
    services: dict[str, str] = field(default_factory=dict)
    """By the path of a Service's proxy: where it leads."""
    logs: dict[str, str] = field(default_factory=dict)
    """By the path of a pod and the name of a container, with a slash between them."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    ended: threading.Event = field(default_factory=threading.Event)
    _version: int = 0

    def kubeconfig(self, folder: Path) -> Path:
        """A file that leads here."""
        file = folder / "kubeconfig"
        named = {"name": "here", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}
        context = {"name": "here", "context": {"cluster": "here", "user": "me"}}
        users = [{"name": "me", "user": {"token": "t"}}]
        file.write_text(
            yaml.safe_dump({"clusters": [named], "contexts": [context], "users": users, "current-context": "here"})
        )
        return file

    def connect(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have the clients of this process connect here, by a kubeconfig in `folder`."""
        file = str(self.kubeconfig(folder))
        monkeypatch.setenv("KUBECONFIG", file)
        monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", file)  # read by its import

    def put(self, path: str, content: JSON) -> JSON:
        """Create or replace an object, as an administrator would."""
        with self.lock:
            return self._store(path, {**content, "metadata": {**content.get("metadata", {})}})

    def patch(self, path: str, kind: str, patch: JSON) -> tuple[int, JSON]:
        """Answer a PATCH: its status and body."""
        found = self.objects.get(path)
        if kind == "application/apply-patch+yaml":
            if found is None:
                return 201, self._store(path, patch)
            return (200, self._store(path, _merge(found, patch, by_name=False))) if _fits(patch, found) else (409, {})
        if found is None:
            return 404, {}
        metadata = dict(patch.get("metadata", {}))
        if (
            metadata.pop("resourceVersion", found["metadata"]["resourceVersion"])
            != found["metadata"]["resourceVersion"]
        ):
            return 409, {}
        by_name = kind == "application/strategic-merge-patch+json"
        return 200, self._store(path, _merge(found, {**patch, "metadata": metadata}, by_name=by_name))

    def write(self, method: str, path: str, kind: str, content: JSON) -> tuple[int, JSON]:
        """Answer a request that changes something: its status and body."""
        if method == "POST" and path.endswith("reviews"):
            return 201, {**content, "status": self.review(content["kind"], content["spec"])}
        if method == "PATCH":
            return self.patch(path, kind, content)
        answers = {"POST": self.create, "PUT": self.replace, "DELETE": self.delete}
        return answers[method](path, content)

    def create(self, path: str, content: JSON) -> tuple[int, JSON]:
        """Answer a POST to a collection. There is no proxy to other Services."""
        if "/proxy/" in path:
            return 404, {}
        path = f"{path}/{content['metadata']['name']}"
        return (409, {"reason": "AlreadyExists"}) if path in self.objects else (201, self._store(path, content))

    def replace(self, path: str, content: JSON) -> tuple[int, JSON]:
        """Answer a PUT."""
        found = self.objects.get(path)
        if found is None:
            return 404, {}
        return (200, self._store(path, content)) if _fits(content, found) else (409, {"reason": "Conflict"})

    def delete(self, path: str, options: JSON) -> tuple[int, JSON]:
        """Answer a DELETE."""
        found = self.objects.get(path)
        if found is None:
            return 404, {}
        if not _fits({"metadata": options["preconditions"]}, found):
            return 409, {"reason": "Conflict"}
        return 200, self.objects.pop(path)

    def page(self, path: str, query: dict[str, str]) -> tuple[int, JSON]:
        """Answer a GET of a list: its status and body. A selector is a label that has to be there, or that and its
        value."""
        start, (label, _, value) = int(query.get("continue", 0)), query.get("labelSelector", "").partition("=")
        if start and not self.keeps_lists:
            return 410, {"kind": "Status", "reason": "Expired", "code": 410}
        found = [
            each
            for each in self.lists[path]
            if not label or _has_label(each["metadata"].get("labels", {}), label, value)
        ]
        end = start + int(query.get("limit", 500))
        metadata = {"resourceVersion": self.list_version, **({"continue": str(end)} if end < len(found) else {})}
        return 200, {"kind": "List", "metadata": metadata, "items": found[start:end]}

    def log(self, path: str, query: dict[str, str]) -> str | None:
        """Answer a GET of a pod's log, as kubelet does: the limit cuts off the end of the last lines."""
        log = self.logs.get(f"{path.removesuffix('/log')}/{query['container']}")
        if log is None:
            return None
        lines = log.splitlines(keepends=True)[-int(query["tailLines"]) :]
        return "".join(lines)[: int(query["limitBytes"])]

    def review(self, kind: str, spec: JSON) -> JSON:
        """The status of a TokenReview or a SubjectAccessReview."""
        self.reviews.append((kind, spec))
        if kind == "TokenReview":
            name, audience = self.users.get(spec["token"], ("", ""))
            asked = spec.get("audiences") or [""]
            if not name or audience not in asked:
                return {"authenticated": False, "error": "invalid bearer token"}
            groups = ["system:authenticated", *self.groups.get(name, [])]
            user = {"username": name, "uid": f"uid-of-{name}", "groups": groups, "extra": {"scopes": ["a", "b"]}}
            audiences = [audience] if self.audiences is None else self.audiences
            return {"authenticated": True, "audiences": audiences, "user": user}
        attributes = spec["resourceAttributes"]
        assert (attributes["verb"], attributes["resource"], attributes.get("group", "")) == ("create", "pods", "")
        assert (spec["uid"], spec["extra"]) == (f"uid-of-{spec['user']}", {"scopes": ["a", "b"]})
        namespace, who = attributes["namespace"], [spec["user"], *spec["groups"]]
        return {"allowed": any((each, namespace) in self.rights for each in who), "denied": spec["user"] in self.denied}

    def _store(self, path: str, content: JSON) -> JSON:
        self._version += 1
        metadata = {**content["metadata"], "name": path.rpartition("/")[2], "resourceVersion": str(self._version)}
        self.objects[path] = {**content, "metadata": metadata}
        return self.objects[path]


def _fits(given: JSON, found: JSON) -> bool:
    """Whether an object is the one that a request is about."""
    wanted = {key: given["metadata"].get(key) for key in ("uid", "resourceVersion")}
    return all(not value or value == found["metadata"].get(key) for key, value in wanted.items())


def _merge(old: Any, patch: Any, *, by_name: bool) -> Any:
    if by_name and isinstance(patch, list):
        named = {entry["name"]: entry for entry in patch}
        assert named.keys() <= {entry["name"] for entry in old}, "the real one wants whole entries then"
        return [_merge(entry, named.get(entry["name"], {}), by_name=True) for entry in old]
    if not isinstance(patch, dict):
        return patch
    merged = dict(old or {})
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge(merged.get(key), value, by_name=by_name)
    return merged


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    api: ApiServer


def _has_label(labels: JSON, name: str, value: str) -> bool:
    return labels.get(name) == value if value else name in labels


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a body would wait for the client to acknowledge its head: 40 ms
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's signature
        pass

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate((timestamp or time.time()) + self.server.api.clock_ahead, usegmt=True)

    def do_GET(self) -> None:
        self._respond()

    def do_PATCH(self) -> None:
        self._respond()

    def do_POST(self) -> None:
        self._respond()

    def do_PUT(self) -> None:
        self._respond()

    def do_DELETE(self) -> None:
        self._respond()

    def _respond(self) -> None:
        api, (path, _, query) = self.server.api, self.path.partition("?")
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        proxy = next((proxy for proxy in api.services if path.startswith(f"{proxy}/")), None)
        if proxy:
            self._pass_on(api.services[proxy] + self.path.removeprefix(proxy), body)
            return
        named = {name: values[0] for name, values in parse_qs(query).items()}
        with api.lock:
            api.requests.append((self.command, path))
            if body:
                api.received.append(
                    Received(self.command, path, named, self.headers["Content-Type"], yaml.safe_load(body))
                )
            if "watch" in named and not api.answer:
                api.watches.append(named)
                following = api.watched.get(path)
                events = following.pop(0) if following else []
            content: JSON = {}
            text = None
            if api.answer:
                status, content = api.answer, {"kind": "Status", "message": "pods is forbidden", "code": api.answer}
            elif self.command != "GET":
                status, content = api.write(self.command, path, self.headers["Content-Type"], yaml.safe_load(body))
            elif path in api.lists:
                status, content = api.page(path, named)
            elif path.endswith("/log"):
                text = api.log(path, named)
                status, content = 400 if text is None else 200, {"kind": "Status"}
            else:
                content = api.objects.get(path, {})
                status = 200 if content else 404
        if "watch" in named and status == 200:
            self._stream(events)
            return
        encoded = json.dumps(content).encode() if text is None else text.encode()
        encoded = encoded if api.body is None else api.body
        self._answer(status, {"Content-Type": "application/json"}, encoded)

    def _pass_on(self, url: str, body: bytes) -> None:
        """As the real proxy: over TLS that nobody verifies, without the header that was for the API server."""
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("authorization", "host")}
        options: JSON = {"verify": False, "trust_env": False, "timeout": 60}
        found = httpx.request(self.command, url, content=body, headers=headers, **options)
        kept = {name: value for name, value in found.headers.items() if name not in ("content-length", "connection")}
        self._answer(found.status_code, kept, found.content)

    def _stream(self, events: list[JSON | str]) -> None:
        """Events, each in a chunk of its own."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in events:
            if event == HOLD:
                self.server.api.ended.wait()
            if isinstance(event, str):
                self.close_connection = True
                return
            line = json.dumps(event).encode() + b"\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.write(b"0\r\n\r\n")

    def _answer(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def running_api_server() -> Iterator[ApiServer]:
    """One on a free port of loopback, for as long as the context lasts."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.api = ApiServer(server.server_port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.api
        finally:
            server.api.ended.set()
            server.shutdown()
            thread.join()
