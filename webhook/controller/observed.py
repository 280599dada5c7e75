"""The objects of the cluster that decisions depend on, with the fields that are read."""

from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec

from webhook.fetching.container import Download, download_of
from webhook.kubernetes.pod import Container

Key: TypeAlias = tuple[str, str]
"""The namespace of an object, empty for one of the whole cluster, and its name."""
_NOTHING: Mapping[str, str] = {}
_LONGEST_PART: Final = 64
"""What is kept of each part of a command, in characters."""


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


class Volume(Observed, frozen=True):
    """A PersistentVolume."""

    status: _Phase = _Phase()

    @property
    def is_released(self) -> bool:
        """Whether the claim that it was bound to is gone. It is never bound to another claim, not even of this name."""
        return self.status.phase == "Released"


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
    def is_finished(self) -> bool:
        """Whether it has succeeded or failed."""
        return self.is_complete or self.failure is not None

    @property
    def failure(self) -> str | None:
        """Why it has failed; None if it has not."""
        failed = self._condition("Failed")
        return f"{failed.reason}: {failed.message}" if failed else None

    def _condition(self, kind: str) -> Condition | None:
        conditions = self.status.conditions or ()
        return next((each for each in conditions if each.type == kind and each.status == "True"), None)


class InitContainer(msgspec.Struct, frozen=True):
    """An init container of a pod, without the text of its script, which would fill the memory."""

    name: str
    command: tuple[str, ...] | None = None
    args: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        command = tuple(part[:_LONGEST_PART] for part in (self.command or ())[:4])
        msgspec.structs.force_setattr(self, "command", command)
        msgspec.structs.force_setattr(self, "args", (self.args or ())[:2])

    @property
    def download(self) -> Download | None:
        """What it downloads, if it runs fetch.sh."""
        return download_of(Container(command=self.command, args=self.args))


class _Running(msgspec.Struct, frozen=True, rename="camel"):
    started_at: str | None = None


class Terminated(msgspec.Struct, frozen=True, rename="camel"):
    """How a container has ended. `message` is its termination message."""

    exit_code: int = 0
    reason: str = ""
    message: str = ""


class _State(msgspec.Struct, frozen=True):
    running: _Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(msgspec.Struct, frozen=True, rename="camel"):
    """The status of a container."""

    name: str
    restart_count: int = 0
    state: _State = _State()
    last_state: _State = _State()


class _PodSpec(msgspec.Struct, frozen=True, rename="camel"):
    init_containers: tuple[InitContainer, ...] | None = None


class _PodStatus(msgspec.Struct, frozen=True, rename="camel"):
    phase: str = ""
    init_container_statuses: tuple[ContainerStatus, ...] | None = None


class Pod(Observed, frozen=True):
    """A Pod, with its init containers that download. A pod without them keeps no more than its identity."""

    spec: _PodSpec = _PodSpec()
    status: _PodStatus = _PodStatus()

    def __post_init__(self) -> None:
        loading = tuple(each for each in self.spec.init_containers or () if each.download)
        msgspec.structs.force_setattr(self, "spec", _PodSpec(loading))
        if not loading:
            known = self.metadata
            metadata = Metadata(known.name, known.namespace, known.uid, known.resource_version)
            msgspec.structs.force_setattr(self, "metadata", metadata)
            msgspec.structs.force_setattr(self, "status", _PodStatus())


class Cluster(msgspec.Struct, frozen=True):
    """What is observed for loads, by key. Claims, Jobs, volumes and references are those of model-injector."""

    namespaces: Mapping[Key, Observed]
    claims: Mapping[Key, Claim]
    jobs: Mapping[Key, Job]
    volumes: Mapping[Key, Volume]
    references: Mapping[Key, Observed]
    """TridentVolumeReferences."""
