"""The objects of the cluster that decisions depend on, with the fields that are read."""

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

Key: TypeAlias = tuple[str, str]
"""The namespace of an object, empty for one of the whole cluster, and its name."""
_NOTHING: Mapping[str, str] = {}


class Metadata(msgspec.Struct, frozen=True, rename="camel"):
    """The metadata of an object. Times are in RFC 3339."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None


class Observed(msgspec.Struct, frozen=True):
    """An object of any kind."""

    metadata: Metadata

    @property
    def key(self) -> Key:
        """Its namespace and name."""
        return self.metadata.namespace, self.metadata.name

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels."""
        return self.metadata.labels or _NOTHING

    @property
    def annotations(self) -> Mapping[str, str]:
        """Its annotations."""
        return self.metadata.annotations or _NOTHING

    @property
    def is_deleted(self) -> bool:
        """Whether its deletion was requested."""
        return self.metadata.deletion_timestamp is not None


class _Resources(msgspec.Struct, frozen=True):
    requests: Mapping[str, str] = _NOTHING


class _ClaimSpec(msgspec.Struct, frozen=True, rename="camel"):
    resources: _Resources = _Resources()
    volume_name: str = ""


class _Phase(msgspec.Struct, frozen=True):
    phase: str = ""


class Claim(Observed, frozen=True):
    """A PersistentVolumeClaim."""

    spec: _ClaimSpec = _ClaimSpec()
    status: _Phase = _Phase()

    @property
    def requested(self) -> str:
        """The storage that it requests, as a quantity."""
        return self.spec.resources.requests.get("storage", "0")


class Condition(msgspec.Struct, frozen=True, rename="camel"):
    """A condition of an object's status."""

    type: str
    status: str
    reason: str = ""
    message: str = ""


class _JobStatus(msgspec.Struct, frozen=True):
    conditions: tuple[Condition, ...] | None = None


class Job(Observed, frozen=True):
    """A batch/v1 Job."""

    status: _JobStatus = _JobStatus()

    @property
    def is_complete(self) -> bool:
        """Whether it has succeeded."""
        return self._condition("Complete") is not None

    @property
    def failure(self) -> str | None:
        """Why it has failed; None if it has not."""
        failed = self._condition("Failed")
        return f"{failed.reason}: {failed.message}" if failed else None

    def _condition(self, kind: str) -> Condition | None:
        conditions = self.status.conditions or ()
        return next((each for each in conditions if each.type == kind and each.status == "True"), None)


class Cluster(msgspec.Struct, frozen=True):
    """What is observed for loads, by key. Claims, Jobs, volumes and references are those of model-injector."""

    namespaces: Mapping[Key, Observed]
    claims: Mapping[Key, Claim]
    jobs: Mapping[Key, Job]
    volumes: Mapping[Key, Observed]
    """PersistentVolumes."""
    references: Mapping[Key, Observed]
    """TridentVolumeReferences."""
