"""Objects in the cluster that belong to a version of a model: names, labels, and volumes that exist already.

The names depend only on the strategy, the version's folder in a store, and the namespace, so the webhook knows the name
of a claim that somebody else creates. docs/objects.md documents them for users.
"""

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from webhook.kubernetes.names import label_value, object_name
from webhook.kubernetes.patch import JSON
from webhook.model.artifact import Artifact

_CAPACITY: Final = "1Gi"
"""The API requires a capacity, and drivers of volumes that exist already ignore it. It is the same for all models,
because the size of such a claim cannot be changed, and counts towards the namespace's quota."""
CACHED: Final = "cached-"
"""How the labels of nodes begin that have versions in their cache, after the prefix of labels and a slash."""
_CACHED_DIGITS: Final = 16


@lru_cache(maxsize=4096)
def claim_name(strategy: str, artifact: Artifact) -> str:
    """The name of the version's PersistentVolumeClaim for a strategy: `s3-mount-my-model-1.2.3-0badc0de`."""
    return object_name(f"{strategy}-{artifact.model}-{artifact.version}", _identity(artifact))


def job_name(strategy: str, artifact: Artifact) -> str:
    """The name of the Job that fills the claim. Without dots, because the names of its pods become host names."""
    return claim_name(strategy, artifact).replace(".", "-")


def volume_name(strategy: str, namespace: str, artifact: Artifact) -> str:
    """The name of the PersistentVolume that the claim in a namespace is bound to, unique in the cluster."""
    identity = f"{namespace} {_identity(artifact)}"
    return object_name(f"{strategy}-{namespace}-{artifact.model}-{artifact.version}", identity)


def cached_label(endpoint_url: str, uri: str) -> str:
    """The label of nodes that have the version in their cache, without the prefix: `cached-0badc0de0badc0de`.

    `endpoint_url` is that of its source, and `uri` its folder. The value of the label is `true`.
    """
    return CACHED + hashlib.sha256(_located(endpoint_url, uri).encode()).hexdigest()[:_CACHED_DIGITS]


def _identity(artifact: Artifact) -> str:
    return _located(artifact.source.endpoint_url, artifact.uri)


def _located(endpoint_url: str, uri: str) -> str:
    """The version's folder. Two stores may have buckets of the same name, so it includes the store's endpoint."""
    return " ".join(filter(None, (endpoint_url, uri)))


def labels(prefix: str, artifact: Artifact, state: str | None = None) -> Mapping[str, str]:
    """The labels of the version's objects. `prefix`: the prefix of annotations. `state`: `loading` or `ready`."""
    values = {"model": artifact.model, "version": artifact.version, **({"state": state} if state else {})}
    return {
        "app.kubernetes.io/managed-by": "model-injector",
        **{f"{prefix}/{name}": label_value(value) for name, value in values.items()},
    }


def volume_and_claim(strategy: str, artifact: Artifact, namespace: str, prefix: str, source: JSON) -> tuple[JSON, JSON]:
    """A PersistentVolume that exists already, and the claim that a namespace's pods mount read-only.

    Both name each other, so neither can be bound to anything else. `source`: the fields of core/v1 PersistentVolumeSpec
    that say what the volume is. `prefix`: the prefix of labels.
    """
    volume, claim = volume_name(strategy, namespace, artifact), claim_name(strategy, artifact)
    common = {"accessModes": ["ReadOnlyMany"], "storageClassName": ""}
    return (
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": volume, "labels": dict(labels(prefix, artifact))},
            "spec": {
                **common,
                "capacity": {"storage": _CAPACITY},
                "persistentVolumeReclaimPolicy": "Retain",
                "claimRef": {"namespace": namespace, "name": claim},
                **source,
            },
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": claim, "namespace": namespace, "labels": dict(labels(prefix, artifact, "ready"))},
            "spec": {**common, "volumeName": volume, "resources": {"requests": {"storage": _CAPACITY}}},
        },
    )
