"""A cluster in memory that takes steps as the API server and its controllers would, and volumes with what Jobs load.

Server-side apply removes what its manager has set before and sets no longer, unless the object was created with it. A
stale resourceVersion or uid is a conflict, and a change that changes nothing leaves the version as it is. A deleted Job
stays until its pods have ended.
"""

import copy
import json
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec

from webhook.controller.observed import Claim, Cluster, Job, Observed, Volume
from webhook.controller.steps import Create, Delete, Emit, Label, ObjectRef, Step

JSON: TypeAlias = dict[str, Any]
Name: TypeAlias = tuple[str, str, str]
"""Kind, namespace and name."""
PREFIX = "model-injector.io"
CLAIM, JOB, VOLUME = "PersistentVolumeClaim", "Job", "PersistentVolume"
REFERENCE, NAMESPACE = "TridentVolumeReference", "Namespace"
PARTIAL = "a part of a model"
CREATED = "2026-01-01T00:00:00Z"


@dataclass
class MemoryCluster:
    """Objects by kind, namespace and name."""

    objects: dict[Name, JSON] = field(default_factory=dict)
    contents: dict[str, str] = field(default_factory=dict)
    """By the uid of a claim: the digest of what its volume has, or PARTIAL."""
    events: list[Emit] = field(default_factory=list)
    deleted: list[Name] = field(default_factory=list)
    """What steps deleted."""
    _created: dict[Name, set[str]] = field(default_factory=dict)
    _applied: dict[Name, set[str]] = field(default_factory=dict)
    _fills: dict[str, str] = field(default_factory=dict)
    """By the uid of a Job: the uid of the claim that its pods mount."""
    _volumes: dict[str, str] = field(default_factory=dict)
    """By the uid of a claim: that of the claim for which its volume was made."""
    _version: int = 0

    def take(self, step: Step) -> bool:
        """Take a step. False: it conflicts."""
        match step:
            case Create():
                return self.create(step.object)
            case Label():
                return self._apply(step)
            case Delete():
                return self._delete(step)
            case Emit():
                self.events.append(step)
                return True
        raise AssertionError(f"loads do not {step}")

    def create(self, manifest: JSON) -> bool:
        """Create an object, as a person or a step does. False: it exists."""
        metadata = manifest["metadata"]
        name = (manifest["kind"], metadata.get("namespace", ""), metadata["name"])
        namespace = (NAMESPACE, "", name[1])
        assert not name[1] or namespace in self.objects, f"{name}: the API server answers 404"
        if name in self.objects:
            return False
        created: JSON = copy.deepcopy(manifest)
        created["metadata"] |= {"uid": f"uid-{self._version + 1}", "creationTimestamp": CREATED}
        self._created[name] = {*_fields(metadata.get("labels", {}), metadata.get("annotations", {}))}
        self._applied[name] = set()
        self._store(name, created)
        if manifest["kind"] == JOB:
            self.start(name)
        if manifest["kind"] == CLAIM:
            self._bind(name)
        return True

    def _bind(self, name: Name) -> None:
        """A new claim has an empty volume, or with Trident, that of the claim that its shareFromPVC names."""
        metadata = self.objects[name]["metadata"]
        shared = metadata.get("annotations", {}).get("trident.netapp.io/shareFromPVC")
        if shared is None:
            self._volumes[metadata["uid"]] = metadata["uid"]
            return
        source = self.objects.get((CLAIM, *shared.split("/")), {"metadata": {}})["metadata"]
        consent = self.objects.get((REFERENCE, *name[1:]), {"spec": {}})["spec"]
        is_shared = name[1] in source.get("annotations", {}).get("trident.netapp.io/shareToNamespace", "").split(",")
        if is_shared and f"{consent.get('pvcNamespace')}/{consent.get('pvcName')}" == shared:
            self._volumes[metadata["uid"]] = self._volumes[source["uid"]]

    def content(self, name: Name) -> str | None:
        """What the volume of a claim has. None if it has no volume yet."""
        volume = self._volumes.get(self.objects[name]["metadata"]["uid"])
        return volume and self.contents.get(volume, PARTIAL)

    def start(self, name: Name) -> None:
        """A Job's pod mounts the claim, and changes its volume unless it has the files already."""
        job = self.objects[name]
        source = job["spec"]["template"]["spec"]["volumes"][0]
        claim = self.objects.get((CLAIM, name[1], source.get("persistentVolumeClaim", {}).get("claimName", "")))
        if claim and not is_finished(job) and job["metadata"]["uid"] not in self._fills:
            uid = claim["metadata"]["uid"]
            self._fills[job["metadata"]["uid"]] = uid
            if self.contents.get(uid) != loaded_by(job):
                self.contents[uid] = PARTIAL

    def finish(self, name: Name, condition: str = "Complete") -> None:
        """A Job ends. It cannot if its pod waits for a claim."""
        self.start(name)
        job = self.objects[name]
        uid = self._fills.get(job["metadata"]["uid"])
        if is_finished(job) or "deletionTimestamp" in job["metadata"]:
            return
        if uid is not None and condition == "Complete":
            self.contents[uid] = loaded_by(job)
        if uid is not None or condition == "Failed":
            ended = {"type": condition, "status": "True", "reason": "BackoffLimitExceeded", "message": "it failed"}
            self._store(name, {**job, "status": {"conditions": [ended]}})

    def remove(self, name: Name) -> None:
        """An object goes, and with a namespace all that is in it."""
        gone = [each for each in self.objects if name[0] == NAMESPACE and each[1] == name[2]]
        for each in (*gone, name):
            self._version += 1
            del self.objects[each]

    def collect(self) -> None:
        """The pods of deleted Jobs end."""
        for name in [name for name, each in self.objects.items() if "deletionTimestamp" in each["metadata"]]:
            self.remove(name)

    def names(self, kind: str) -> list[Name]:
        """All objects of a kind."""
        return sorted(name for name in self.objects if name[0] == kind)

    def observed(self) -> Cluster:
        """What controllers see that have seen everything."""
        kinds: tuple[tuple[str, type[Observed]], ...] = (
            *((NAMESPACE, Observed), (CLAIM, Claim), (JOB, Job), (VOLUME, Volume), (REFERENCE, Observed)),
        )
        return Cluster(*({name[1:]: self.decode(name, of) for name in self.names(kind)} for kind, of in kinds))

    def decode(self, name: Name, kind: type[Observed]) -> Any:
        """One object as controllers see it."""
        return msgspec.convert(self.objects[name], kind)

    def _store(self, name: Name, content: JSON) -> None:
        self._version += 1
        metadata = {**content["metadata"], "resourceVersion": str(self._version)}
        self.objects[name] = {**content, "metadata": metadata}

    def _is_current(self, name: Name, of: ObjectRef) -> bool:
        metadata = self.objects.get(name, {"metadata": {}})["metadata"]
        return (metadata.get("uid"), metadata.get("resourceVersion")) == (of.uid, of.resource_version)

    def _apply(self, step: Label) -> bool:
        name = step.target
        if not self._is_current(name, step.of):
            return False
        before = self.objects[name]
        after: JSON = copy.deepcopy(before)
        fields = _fields(step.labels, step.annotations)
        for group, key in (each.split(" ", 1) for each in self._applied[name] - fields.keys() - self._created[name]):
            after["metadata"][group].pop(key, None)
        for each, value in fields.items():
            group, key = each.split(" ", 1)
            after["metadata"].setdefault(group, {})[key] = value
        self._applied[name] = set(fields)
        if after != before:
            self._store(name, after)
        return True

    def _delete(self, step: Delete) -> bool:
        name = step.target
        if not self._is_current(name, step.of):
            return False
        self.deleted.append(name)
        metadata = {**self.objects[name]["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}
        self._store(name, {**self.objects[name], "metadata": metadata})
        return True


def _fields(labels: Any, annotations: Any) -> dict[str, str]:
    return {
        f"{group} {key}": value
        for group, values in (("labels", labels), ("annotations", annotations))
        for key, value in values.items()
    }


def is_finished(job: JSON) -> bool:
    return bool(job.get("status", {}).get("conditions"))


def loaded_by(job: JSON) -> str:
    """The digest of what a Job loads: that in the marker that it writes."""
    (mark,) = job["spec"]["template"]["spec"]["containers"]
    return str(json.loads(mark["args"][-1])["digest"]) if mark["name"] == "mark" else ""


def namespace(name: str) -> JSON:
    return {"apiVersion": "v1", "kind": NAMESPACE, "metadata": {"name": name}}
