"""A cluster as its users see it: kubectl, its messages, and objects as JSON."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.polling import until
from tests.support.programs import MissingProgram, running_server

JSON = dict[str, Any]
_SECONDS = 120
_FORWARDING = re.compile(r"127\.0\.0\.1:(\d+) ->")


class CommandFailed(Exception):
    """A command ended with an error; the text is what it printed."""


@dataclass(frozen=True)
class Cluster:
    """An API server, through a kubeconfig."""

    kubeconfig: Path
    runs_pods: bool
    """Whether it has nodes. Without them, pods stay Pending."""
    has_controllers: bool = True
    """Whether kube-controller-manager runs. Without it, workloads have no pods."""

    def kubectl(self, *arguments: str, content: str | None = None) -> str:
        """Run kubectl; gives what it prints, warnings included. Raises CommandFailed."""
        return run([_kubectl(), *arguments], self.kubeconfig, content)

    def apply(self, *objects: JSON, options: tuple[str, ...] = ()) -> str:
        """`kubectl apply`; gives what it prints, warnings included. Raises CommandFailed."""
        return self._send("apply", objects, options)

    def create(self, *objects: JSON, options: tuple[str, ...] = ()) -> str:
        """`kubectl create`; gives what it prints, warnings included. Raises CommandFailed."""
        return self._send("create", objects, options)

    def dry_run(self, made: JSON) -> JSON:
        """The object that the API server would store."""
        arguments = ("create", "--filename=-", "--dry-run=server", "--output=json")
        found: JSON = json.loads(run([_kubectl(), *arguments], self.kubeconfig, json.dumps(made), stderr=False))
        return found

    def refusal(self, *objects: JSON) -> str:
        """What `kubectl create` prints for objects that it cannot create."""
        try:
            printed = self.create(*objects)
        except CommandFailed as failed:
            return str(failed)
        raise AssertionError(f"nothing was refused: {printed}")

    def get(self, kind: str, name: str, namespace: str = "default") -> JSON:
        """An object. Raises CommandFailed if there is none."""
        found: JSON = json.loads(self._read("get", kind, name, "--namespace", namespace, "--output=json"))
        return found

    def objects(self, kind: str, namespace: str, *options: str) -> list[JSON]:
        """The objects of a kind in a namespace."""
        found: list[JSON] = json.loads(self._read("get", kind, "--namespace", namespace, "--output=json", *options))[
            "items"
        ]
        return found

    def has(self, kind: str, name: str, namespace: str = "default") -> bool:
        """Whether there is such an object."""
        return bool(self._read("get", kind, name, "--namespace", namespace, "--ignore-not-found", "--output=name"))

    def pods(self, namespace: str, count: int = 1, selector: str = "") -> list[JSON]:
        """The pods of a namespace, as soon as there are so many, without those that are being deleted."""
        found: list[JSON] = []

        def complete() -> bool:
            listed = self.objects("pods", namespace, f"--selector={selector}")
            found[:] = [each for each in listed if "deletionTimestamp" not in each["metadata"]]
            return len(found) == count

        self.until(complete, lambda: f"{[each['metadata']['name'] for each in found]} {self.events(namespace)}")
        return found

    def events(self, namespace: str) -> list[str]:
        """The events of a namespace, as reasons and messages."""
        return [f"{each['reason']}: {each.get('message', '')}" for each in self.objects("events", namespace)]

    def until(self, holds: Callable[[], object], otherwise: Callable[[], object], seconds: float = _SECONDS) -> None:
        """Wait for a condition. Fails with what `otherwise` gives."""
        try:
            until(holds, seconds)
        except AssertionError as late:
            raise AssertionError(f"{late}: {otherwise()}") from None

    @contextmanager
    def forwarding(self, target: str, port: int, namespace: str, log: Path) -> Iterator[int]:
        """Forward a free port of loopback to a pod or a Service; gives the free port."""
        command = (_kubectl(), "port-forward", "--namespace", namespace, target, f":{port}")
        env = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        with running_server(command, ready=_FORWARDING, log=log, env=env) as local:
            yield int(local)

    @property
    def version(self) -> tuple[int, int]:
        """The API server's version, such as (1, 36)."""
        found = json.loads(self._read("get", "--raw", "/version"))
        return int(found["major"]), int(found["minor"].rstrip("+"))

    def _read(self, *arguments: str) -> str:
        return run([_kubectl(), *arguments], self.kubeconfig, stderr=False)

    def _send(self, verb: str, objects: tuple[JSON, ...], options: tuple[str, ...]) -> str:
        items = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        content = json.dumps(objects[0] if len(objects) == 1 else items)
        return self.kubectl(verb, "--filename=-", *options, content=content)


def run(
    command: Sequence[str | Path],
    kubeconfig: Path,
    content: str | None = None,
    *,
    env: Mapping[str, str] | None = None,
    stderr: bool = True,
    seconds: float = 300,
) -> str:
    """Run a program with a kubeconfig; gives what it prints. Raises CommandFailed."""
    everything = {**os.environ, "KUBECONFIG": str(kubeconfig), **(env or {})}
    done = subprocess.run(
        command, input=content, capture_output=True, text=True, timeout=seconds, check=False, env=everything
    )
    if done.returncode:
        raise CommandFailed(done.stdout + done.stderr)
    return done.stdout + (done.stderr if stderr else "")


def _kubectl() -> Path:
    """From KUBEBUILDER_ASSETS, or on PATH."""
    path = os.pathsep.join([os.environ.get("KUBEBUILDER_ASSETS", ""), os.environ["PATH"]])
    found = shutil.which("kubectl", path=path)
    if found is None:
        raise MissingProgram("kubectl is missing on PATH and in KUBEBUILDER_ASSETS: kubernetes.io/docs/tasks/tools")
    return Path(found)
