"""Which versions the loads select, and the objects that they need."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import msgspec

from webhook.controller.observed import Cluster
from webhook.controller.published import Published, Version
from webhook.controller.states import DIGEST, EXPIRED, LOADING, LOADS, URI
from webhook.fields.globs import matches
from webhook.kubernetes.patch import JSON
from webhook.model.artifact import Artifact
from webhook.model.objects import claim_name
from webhook.settings import Load, Settings
from webhook.strategies import STRATEGIES
from webhook.strategies.strategy import ManifestRequest

_KINDS: Final = ("PersistentVolumeClaim", "PersistentVolume", "Job", "TridentVolumeReference")
"""What the controller creates. The platform creates other objects of the manifests, such as the StorageClass."""
_UNKNOWN: Final = datetime.min.replace(tzinfo=UTC)
_OF_KUBERNETES: Final = ("kube-system", "kube-public", "kube-node-lease")


class Want(msgspec.Struct, frozen=True):
    """A version that a load selects."""

    index: int
    """The place of the load in the settings."""
    load: Load
    version: Version

    @property
    def artifact(self) -> Artifact:
        """The version's artifact."""
        return self.version.artifact


def wants(published: Published, cluster: Cluster, settings: Settings) -> list[Want]:
    """What the loads select. The first load of a strategy that selects a version decides.

    Versions that may be removed are not loaded. Those with an expired claim are left alone: only clean-up, which knows
    whether they are used, makes them ready again.
    """
    prefix = settings.annotation_prefix
    states: dict[str, set[str]] = {}
    for claim in cluster.claims.values():
        states.setdefault(claim.annotations.get(f"{prefix}/{URI}", ""), set()).add(
            claim.labels.get(f"{prefix}/state", "")
        )
    found: dict[str, Want] = {}
    for index, load in enumerate(settings.loads):
        for version in published.selected(load):
            known = states.get(version.artifact.uri, set())
            if EXPIRED in known or (version.is_expired and not known):
                continue
            found.setdefault(claim_name(load.strategy, version.artifact), Want(index, load, version))
    return list(found.values())


def newness(want: Want) -> tuple[datetime, str]:
    """To sort versions by their publication."""
    return want.version.created_at or _UNKNOWN, want.artifact.uri


def namespaces_of(load: Load, cluster: Cluster) -> tuple[str, ...]:
    """The namespaces whose pods get what a load selects, in order."""
    names = sorted(key[1] for key, namespace in cluster.namespaces.items() if not namespace.is_deleted)
    return tuple(
        name
        for name in names
        if name in load.namespaces or (name not in _OF_KUBERNETES and matches(name, load.namespaces))
    )


@lru_cache(maxsize=8192)
def manifests(
    index: int, artifact: Artifact, namespaces: tuple[str, ...], stage: str, settings: Settings
) -> tuple[JSON, ...]:
    """The objects of a stage, with the controller's annotations. Raises InvalidInput."""
    load, prefix = settings.loads[index], settings.annotation_prefix
    strategy = STRATEGIES[load.strategy]
    assert strategy.manifests  # noqa: S101 - the settings allow only strategies that have some
    options = settings.of_strategies[strategy.name]
    if load.storage_class:
        options = options.model_copy(update={"storage_class": load.storage_class})
    request = ManifestRequest((artifact,), namespaces, stage, prefix, settings.fetch)
    return tuple(
        _annotated(each, artifact, prefix)
        for each in strategy.manifests(request, options).objects
        if each["kind"] in _KINDS
    )


def _annotated(manifest: JSON, artifact: Artifact, prefix: str) -> JSON:
    """An object with the annotations of its version. A claim that is loading has no digest yet."""
    metadata = manifest["metadata"]
    is_loading = metadata["labels"].get(f"{prefix}/state") == LOADING
    added = {f"{prefix}/{URI}": artifact.uri, f"{prefix}/{LOADS if is_loading else DIGEST}": artifact.digest or ""}
    labelled = {**manifest, "metadata": {**metadata, "labels": dict(metadata["labels"])}}
    return with_annotations(labelled, added)


def with_annotations(manifest: JSON, added: Mapping[str, str]) -> JSON:
    """The object with further annotations."""
    metadata = manifest["metadata"]
    return {**manifest, "metadata": {**metadata, "annotations": {**metadata.get("annotations", {}), **added}}}
