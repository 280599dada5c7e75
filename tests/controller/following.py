"""A cluster with workloads that follow a model: it does what the controllers of Kubernetes and the webhook do."""

import copy
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from webhook.controller.rollouts import Outcome, decide
from webhook.controller.steps import Emit, Rewrite
from webhook.controller.workloads import KINDS, Workload
from webhook.model.artifact import Artifact
from webhook.model.request import ModelRequest
from webhook.settings import Settings

JSON = dict[str, Any]
PREFIX = "model-injector.io"
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
"""A Monday."""
TYPES = {kind.resource.kind: kind for kind in KINDS}
Key = tuple[str, str, str]
ROLLED_OUT = tuple(TYPES)
"""The kinds that follow."""


def pin(version: str, asked: str = "@champion", model: str = "my-model") -> str:
    """The annotation `pinned`, as the webhook writes it."""
    pins = [{"source": "default", "model": model, "asked": asked, "version": version}]
    return json.dumps({"models": pins}, separators=(",", ":"))


class Cluster:
    """The API server, the webhook as far as pins go, and the controllers of workloads."""

    def __init__(self, **rollouts: Any) -> None:
        controller = {"rollouts": {"enabled": True, "pause": 0, **rollouts}}
        self.settings = Settings(bucket="my-ml-bucket", catalog={"mode": "s3"}, controller=controller)
        self.now = NOON
        self.objects: dict[Key, JSON] = {}
        self.meanings: dict[tuple[str, str], str] = {("my-model", "@champion"): "1.2.3"}
        """Versions by model and reference. One that begins with `?` is a reason why the version is unknown."""
        self.unloaded = set[tuple[str, str, str]]()
        """Namespace, strategy and version of what is not loaded."""
        self.events: list[Emit] = []

    def add(
        self,
        name: str = "app",
        kind: str = "Deployment",
        namespace: str = "apps",
        follow: str = "true",
        pinned: str | None = None,
        spec: Mapping[str, Any] | None = None,
        **annotations: str,
    ) -> Key:
        """Create a workload that is available, as the webhook would let it be stored."""
        asked = {"model": "my-model", "version": "@champion", "follow": follow, **annotations}
        given = {f"{PREFIX}/{key}": value for key, value in asked.items()}
        given[f"{PREFIX}/pinned"] = pin("1.2.3") if pinned is None else pinned
        metadata = {"name": name, "namespace": namespace, "uid": f"{kind} {name}", "resourceVersion": "1"}
        self.objects[namespace, kind, name] = {
            "metadata": {**metadata, "generation": 1, "labels": {f"{PREFIX}/follow": "true"}},
            "spec": {"replicas": 2, "template": {"metadata": {"annotations": given}}, **(spec or {})},
        }
        self.becomes_available((namespace, kind, name))
        return namespace, kind, name

    def workload(self, key: Key) -> Workload:
        """An object, as it is observed."""
        return msgspec.json.decode(msgspec.json.encode(self.objects[key]), type=TYPES[key[1]])

    def change(self, key: Key, change: Callable[[JSON], Any]) -> None:
        """Change an object, as a person or a controller does."""
        known = self.objects[key]
        new = copy.deepcopy(known)
        change(new)
        if new == known:
            return
        new["metadata"]["resourceVersion"] = str(int(known["metadata"]["resourceVersion"]) + 1)
        new["metadata"]["generation"] += new["spec"] != known["spec"]
        self.objects[key] = new

    def becomes_available(self, key: Key) -> None:
        """The rollout of a workload completes."""

        def change(new: JSON) -> None:
            count, generation = new["spec"]["replicas"], new["metadata"]["generation"]
            status: JSON = {"observedGeneration": generation}
            if key[1] == "DaemonSet":
                names = ("desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable")
                status |= dict.fromkeys(names, count)
            else:
                status |= dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), count)
            if key[1] == "Rollout":
                status |= {"observedGeneration": str(generation), "phase": "Healthy"}
            new["status"] = status

        self.change(key, change)

    def becomes_unavailable(self, key: Key, **status: Any) -> None:
        """One of its pods fails."""

        def change(new: JSON) -> None:
            generation = new["metadata"]["generation"]
            new["status"]["observedGeneration"] = str(generation) if key[1] == "Rollout" else generation
            new["status"].update({"availableReplicas": 1, "numberAvailable": 1, "phase": "Progressing", **status})

        self.change(key, change)

    def decide(self, observed: Mapping[Key, Workload] | None = None) -> Outcome:
        """Decide about what is observed; by default, about everything as it is."""
        seen = observed or {key: self.workload(key) for key in self.objects}
        return decide(seen.values(), self.meaning, self.lack, self.settings, self.now)

    def meaning(self, request: ModelRequest) -> Artifact | str:
        """What a reference means."""
        version = self.meanings[request.model, request.version]
        if version.startswith("?"):
            return version
        return Artifact(request.model, version, self.settings.all_sources[request.source])

    def lack(self, namespace: str, strategy: str, artifact: Artifact) -> str | None:
        """Whether a version is loaded."""
        return "it is not loaded" if (namespace, strategy, artifact.version) in self.unloaded else None

    def take(self, step: Rewrite | Emit) -> bool:
        """Take a step. False if the object has changed since it was observed."""
        if isinstance(step, Emit):
            self.events.append(step)
            return True
        key = (step.of.namespace, step.of.resource.kind, step.of.name)
        if self.objects[key]["metadata"]["resourceVersion"] != step.of.resource_version:
            return False

        def change(new: JSON) -> None:
            template = new["spec"]["template"]["metadata"]["annotations"]
            for place, name, values in (
                (new["metadata"], "labels", step.labels),
                (new["metadata"], "annotations", step.annotations),
                ({"annotations": template}, "annotations", step.template_annotations),
            ):
                for label, value in values.items():
                    place.setdefault(name, {}).pop(label, None)
                    if value is not None:
                        place[name][label] = value

        self.change(key, change)
        return True

    def round(self) -> Outcome:
        """Decide, and take all steps."""
        outcome = self.decide()
        for group in outcome.steps:
            for step in group:
                assert isinstance(step, Rewrite | Emit)
                assert self.take(step)
        return outcome

    def settle(self) -> dict[str, int]:
        """Decide until nothing is left to do. Returns the states that have workloads."""
        for _ in range(10):
            outcome = self.round()
            if not outcome.steps:
                return {state: count for state, count in outcome.states.items() if count}
        raise AssertionError(f"no fixed point: {outcome.steps}")

    def passes(self, seconds: float) -> None:
        """Time passes."""
        self.now += timedelta(seconds=seconds)

    def reasons(self) -> list[str]:
        """The reasons of the events."""
        return [event.reason for event in self.events]

    def version(self, key: Key) -> str:
        """The pinned version."""
        found: str = json.loads(self.template(key)[f"{PREFIX}/pinned"])["models"][0]["version"]
        return found

    def template(self, key: Key) -> dict[str, str]:
        """The annotations of the template."""
        found: dict[str, str] = self.objects[key]["spec"]["template"]["metadata"]["annotations"]
        return found

    def record(self, key: Key) -> JSON:
        """The record of the last rollout; empty without one."""
        found: JSON = json.loads(self.objects[key]["metadata"].get("annotations", {}).get(f"{PREFIX}/rollout", "{}"))
        return found

    def set_pin(self, key: Key, value: str) -> None:
        """A person changes the pin, as `rollout undo` of a StatefulSet does."""
        self.change(
            key, lambda new: new["spec"]["template"]["metadata"]["annotations"].update({f"{PREFIX}/pinned": value})
        )

    def moves(self, version: str) -> None:
        """The alias moves."""
        self.meanings["my-model", "@champion"] = version
