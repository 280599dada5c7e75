"""A cluster with workloads that follow a version: the API server, the webhook, and the workloads' own controllers."""

import copy
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from tests.support.known import Known, known_settings
from tests.support.reviews import apply
from webhook.admission.objects import ObjectChange, pin_object
from webhook.admission.pinning import pin
from webhook.controller.records import Record
from webhook.controller.records import decode as decode_record
from webhook.controller.rollouts import Outcome, decide
from webhook.controller.steps import Emit, Rewrite, Step
from webhook.controller.workloads import WORKLOADS, ArgoRollout, Workload
from webhook.kubernetes.unstructured import decode as decode_object
from webhook.kubernetes.workload import WorkloadChange
from webhook.kubernetes.workload import decode as decode_workload
from webhook.model.artifact import Artifact

JSON = dict[str, Any]
PREFIX = "model-injector.io"
RESTARTED = "kubectl.kubernetes.io/restartedAt"
MODELS = {"my-model": ("1.0.0", "2.0.0", "3.0.0"), "other": ("1.0.0", "1.1.0")}
KINDS = {kind.resource.kind: kind for kind in WORKLOADS}
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
"""A Monday."""


class World:
    """Everything that a decision depends on, and what the steps are taken on. Workloads are plain JSON, by name."""

    def __init__(self, **rollouts: Any) -> None:
        controller = {"rollouts": {"enabled": True, "maxConcurrent": 1, "pause": 60, "deadline": 600, **rollouts}}
        self.settings = known_settings(controller=controller)
        self.catalog = Known(self.settings, MODELS, {"my-model": {"champion": "1.0.0"}})
        self.champion = "1.0.0"
        self.now = NOON
        self.workloads: dict[str, JSON] = {}
        self.history: dict[str, list[JSON]] = {}
        """The ReplicaSets of Deployments, and the revisions of the others: templates, and annotations of then."""
        self.broken: set[str] = set()
        """Versions with which pods never become available."""
        self.not_loaded: dict[str, str] = {}
        """Why, by version."""
        self.events: list[Emit] = []
        self._version = 0

    def add(self, name: str, kind: str = "Deployment", follow: str = "true", **changed: Any) -> None:
        """Somebody creates a workload. `changed`: its namespace, fields of its spec, other annotations."""
        annotations = {"model": "my-model", "version": "@champion", "follow": follow, **changed.pop("annotations", {})}
        template = {
            "metadata": {"annotations": {f"{PREFIX}/{key}": value for key, value in annotations.items()}},
            "spec": {"containers": [{"name": "app", "image": "app:1"}]},
        }
        self.workloads[name] = self._admitted(
            {
                "apiVersion": KINDS[kind].resource.api_version,
                "kind": kind,
                "metadata": {
                    "name": name,
                    "namespace": changed.pop("namespace", "apps"),
                    "uid": f"uid-{name}",
                    "generation": 1,
                    "resourceVersion": self._next_version(),
                    "annotations": {},
                },
                "spec": {"replicas": 2, "template": template, **changed},
                "status": {},
            },
            None,
        )
        self.history[name] = []
        self.settle(name)

    def move(self, version: str) -> None:
        """The alias moves."""
        self.champion = version
        self.catalog.tell(MODELS, {"my-model": {"champion": version}})

    def change(self, name: str, **spec: Any) -> None:
        """Somebody changes fields of the spec."""
        new = copy.deepcopy(self.workloads[name])
        new["spec"].update(spec)
        self._store(name, new)

    def annotate_template(self, name: str, key: str, value: str) -> None:
        """Somebody changes the template, such as by `kubectl rollout restart`."""
        new = copy.deepcopy(self.workloads[name])
        new["spec"]["template"]["metadata"]["annotations"][key] = value
        self._store(name, new)

    def undo(self, name: str) -> bool:
        """`kubectl rollout undo`: the template of before, and of a Deployment also the annotations of then."""
        current = self.workloads[name]
        former = [each for each in self.history[name] if each["template"] != current["spec"]["template"]]
        if not former:
            return False
        new = copy.deepcopy(current)
        new["spec"]["template"] = copy.deepcopy(former[-1]["template"])
        if current["kind"] == "Deployment":
            new["metadata"]["annotations"] = copy.deepcopy(former[-1]["annotations"])
        self._store(name, new)
        return True

    def unlabel(self, name: str) -> None:
        """`kubectl label … model-injector.io/tried-`."""
        new = copy.deepcopy(self.workloads[name])
        new["metadata"]["labels"].pop(f"{PREFIX}/tried", None)
        self._store(name, new)

    def observe(self, name: str) -> None:
        """The workload's own controller sees the template, and begins to replace pods."""
        workload = self.workloads[name]
        spec, generation = workload["spec"], workload["metadata"]["generation"]
        history = [each for each in self.history[name] if each["template"] != spec["template"]]
        latest = {"template": spec["template"], "annotations": workload["metadata"]["annotations"]}
        is_new = not self.history[name] or self.history[name][-1]["template"] != spec["template"]
        self.history[name] = copy.deepcopy([*history, latest])
        if not is_new and str(workload["status"].get("observedGeneration")) == str(generation):
            return
        status = {**workload["status"], "observedGeneration": generation}
        if workload["kind"] == "Rollout":
            status |= {"observedGeneration": str(generation), "phase": "Progressing", "currentPodHash": "new"}
            status |= {"stableRS": "old", "abort": False}
        if is_new:
            status |= {"updatedReplicas": 0, "updatedNumberScheduled": 0}
        self._status(name, status)

    def settle(self, name: str) -> None:
        """All pods are replaced, and available if the version works."""
        self.observe(name)
        spec = self.workloads[name]["spec"]
        replicas = spec["replicas"]
        available = 0 if self.version(name) in self.broken else replicas
        status = {**self.workloads[name]["status"], "replicas": replicas, "updatedReplicas": replicas}
        status |= {"availableReplicas": available, "desiredNumberScheduled": replicas}
        status |= {"updatedNumberScheduled": replicas, "numberAvailable": available}
        if self.workloads[name]["kind"] == "Rollout" and available:
            status |= {"phase": "Healthy", "stableRS": "new"}
        if not available:
            status |= {"conditions": [{"type": "Available", "status": "False", "message": "no pod is ready"}]}
        else:
            status |= {"conditions": []}
        if not spec.get("paused"):
            self._status(name, status)

    def fail(self, name: str) -> None:
        """A pod of the workload becomes unavailable."""
        status = {**self.workloads[name]["status"], "availableReplicas": 0, "numberAvailable": 0}
        if self.workloads[name]["kind"] == "Rollout":
            status["phase"] = "Progressing"
        self._status(name, status)

    def status(self, name: str, **fields: Any) -> None:
        """The workload's own controller reports something."""
        self._status(name, {**self.workloads[name]["status"], **fields})

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += timedelta(seconds=seconds)

    def decide(self, observed: Mapping[str, JSON] | None = None) -> Outcome:
        """What the controller decides. `observed`: what it sees of the workloads, if that is not how they are."""
        selected = (
            each
            for each in (observed or self.workloads).values()
            if each["metadata"].get("labels", {}).get(f"{PREFIX}/follow") == "true"
        )
        return decide(map(decoded, selected), self.catalog, self._is_loaded, self.settings, self.now)

    def take(self, steps: Iterable[Iterable[Step]]) -> None:
        """Take groups of steps, each up to a conflict."""
        for group in steps:
            for step in group:
                if not self.take_one(step):
                    break

    def take_one(self, step: Step) -> bool:
        """Take one step. False if the workload has changed since it was observed."""
        if isinstance(step, Emit):
            self.events.append(step)
            return True
        assert isinstance(step, Rewrite)
        old = self.workloads[step.of.name]
        if old["metadata"]["resourceVersion"] != step.of.resource_version:
            return False
        new = copy.deepcopy(old)
        merge(new["metadata"].setdefault("annotations", {}), step.annotations)
        merge(new["metadata"].setdefault("labels", {}), step.labels)
        merge(new["spec"]["template"]["metadata"]["annotations"], step.template_annotations)
        self._store(step.of.name, new)
        for key, value in step.template_annotations.items():
            assert annotations_of(self.workloads[step.of.name])[key] == value, "the webhook changed what was pinned"
        return True

    def reconcile(self) -> list[str]:
        """Decide and take the steps until there are none. Returns the reasons of the events."""
        before = len(self.events)
        for _ in range(5):
            outcome = self.decide()
            if not outcome.steps:
                return [each.reason for each in self.events[before:]]
            self.take(outcome.steps)
        raise AssertionError(f"the controller does not come to rest: {outcome.steps}")

    def version(self, name: str) -> str:
        """The version that the template is pinned to."""
        return pinned_version(self.workloads[name])

    def record(self, name: str) -> Record | None:
        """What the controller remembers about a workload."""
        metadata, key = self.workloads[name]["metadata"], f"{PREFIX}/rollout"
        return decode_record(metadata["annotations"].get(key), metadata.get("labels", {}).get(key, ""), self.now)

    def state(self, name: str) -> str:
        """The state in its record; empty without one."""
        record = self.record(name)
        return record.state if record else ""

    def _is_loaded(self, namespace: str, strategy: str, artifact: Artifact) -> str | None:
        assert namespace
        assert strategy == "s3-init"
        return self.not_loaded.get(artifact.version)

    def _store(self, name: str, new: JSON) -> None:
        old = self.workloads[name]
        new = self._admitted(new, old)
        changed = new["spec"] != old["spec"]
        metadata = {**new["metadata"], "generation": old["metadata"]["generation"] + changed}
        self.workloads[name] = {**new, "metadata": {**metadata, "resourceVersion": self._next_version()}}

    def _status(self, name: str, status: JSON) -> None:
        workload = self.workloads[name]
        if workload["status"] != status:
            metadata = {**workload["metadata"], "resourceVersion": self._next_version()}
            self.workloads[name] = {**workload, "metadata": metadata, "status": status}

    def _admitted(self, new: JSON, old: JSON | None) -> JSON:
        namespace, both = new["metadata"]["namespace"], [msgspec.json.encode(each) for each in (new, old) if each]
        if new["kind"] == "Rollout":
            changed = ObjectChange(*map(decode_object, both))
            result = pin_object(changed, namespace, self.settings, self.catalog)
        else:
            change = WorkloadChange(*(decode_workload(each, "apps", new["kind"]) for each in both))
            result = pin(change, namespace, self.settings, self.catalog)
        return apply(new, result.operations)

    def _next_version(self) -> str:
        self._version += 1
        return str(self._version)


def merge(values: dict[str, str], changes: Mapping[str, str | None]) -> None:
    """A JSON merge patch."""
    for key, value in changes.items():
        if value is None:
            values.pop(key, None)
        else:
            values[key] = value


def decoded(workload: JSON) -> Workload:
    """As it is observed."""
    return msgspec.json.decode(msgspec.json.encode(workload), type=KINDS[workload["kind"]])


def annotations_of(workload: JSON) -> dict[str, str]:
    """Those of the template."""
    found: dict[str, str] = workload["spec"]["template"]["metadata"]["annotations"]
    return found


def pinned_version(workload: JSON) -> str:
    """The version that the first reference of a template is pinned to; empty if it is not pinned."""
    text = annotations_of(workload).get(f"{PREFIX}/pinned")
    return str(json.loads(text)["models"][0]["version"]) if text else ""


def is_argo(workload: JSON) -> bool:
    """Whether it is an Argo Rollout."""
    return KINDS[workload["kind"]] is ArgoRollout
