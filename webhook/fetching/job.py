"""The Job that loads one model from S3 into a volume, which pods then mount.

Its init container is the one that pods have for a download. The container after it writes the marker, a file that says
what the volume contains. It runs only if the download is complete, so a volume with a marker has the whole model.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from webhook.fetching.container import ROOT, fetch_container, needs_account_token
from webhook.fetching.options import FetchOptions
from webhook.fetching.settings import FetchSettings
from webhook.kubernetes.patch import JSON
from webhook.model.artifact import Artifact

MARKERS: Final = ".model-injector"
"""The folder of the markers, at the root of the volume. Pods that mount a model's folder do not see it."""
_MARK: Final = """\
set -e
mkdir -p "${1%/*}"
printf '%s\\n' "$2" >"$1.new"
sync -f "$1.new"
mv "$1.new" "$1"
"""
"""Writes the file $1 with the line $2. `sync -f` writes the whole file system of the volume to its storage, so that no
marker survives a crash that the model's files do not survive."""
_VOLUME: Final = "model"
_RETRIES: Final = 3
"""Pods after the first that failed. Each continues with the files that are missing."""
_START_SECONDS: Final = 600
"""How long a pod may take until it downloads: for a node, the volume and the image."""
_KEPT_SECONDS: Final = 24 * 3600
"""How long a Job stays after its end: for `kubectl wait`, and for people who read why it failed."""


def load_job(  # noqa: PLR0913 - keyword arguments, each a part of the Job
    *,
    name: str,
    namespace: str,
    labels: Mapping[str, str],
    volume: JSON,
    artifact: Artifact,
    service_account: str,
    settings: FetchSettings,
) -> JSON:
    """A batch/v1 Job that downloads `artifact` into its folder in `volume`, admissible in *restricted* namespaces.

    `volume` is the source of a core/v1 Volume, such as `{"persistentVolumeClaim": {"claimName": "models"}}`. Digests
    are checked if the version was published with them.
    """
    mounts = [{"name": _VOLUME, "mountPath": ROOT}]
    # The pod has no API token, so the container needs nothing in its place.
    fetch = {**_fetch(artifact, settings), "volumeMounts": mounts}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "backoffLimit": _RETRIES,
            "activeDeadlineSeconds": deadline(settings),
            "ttlSecondsAfterFinished": _KEPT_SECONDS,
            # A pod that is evicted, preempted or loses its node does not count as a failure. With this policy, the next
            # pod also waits until the last one has ended, so that two never write to the volume.
            "podFailurePolicy": {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "serviceAccountName": service_account,
                    **({} if needs_account_token(settings) else {"automountServiceAccountToken": False}),
                    "restartPolicy": "Never",
                    "securityContext": _security_context(settings),
                    "initContainers": [fetch],
                    "containers": [_mark(artifact, fetch)],
                    "volumes": [{"name": _VOLUME, **volume}],
                },
            },
        },
    }


def deadline(settings: FetchSettings) -> int:
    """The seconds after which a Job has failed: time for each of its pods to start and to download."""
    return (1 + _RETRIES) * (settings.timeout + _START_SECONDS)


def marker(artifact: Artifact) -> str:
    """The path of the artifact's marker in the volume."""
    return f"{MARKERS}/{artifact.folder}.json"


def _fetch(artifact: Artifact, settings: FetchSettings) -> JSON:
    options = FetchOptions(
        verify="sha256" if artifact.digest else "size",
        timeout=settings.timeout,
        fetch_cpu_request=None,
        fetch_cpu_limit=None,
        fetch_memory_request=None,
        fetch_memory_limit=None,
    )
    return fetch_container(
        name="fetch",
        volume=_VOLUME,
        artifact=artifact,
        options=options,
        read_only=True,
        resources=settings.resources.model_dump(exclude_none=True),
        user=settings.run_as_user,
        settings=settings,
    )


def _mark(artifact: Artifact, fetch: JSON) -> JSON:
    """The container that writes the marker. `fetch` is the container that downloads."""
    shared = ("image", "resources", "volumeMounts", "securityContext", "terminationMessagePolicy")
    content = {
        "model": artifact.model,
        "version": artifact.version,
        "uri": artifact.uri,
        "digest": artifact.digest,
        "files": artifact.files,
        "bytes": artifact.bytes,
    }
    return {
        "name": "mark",
        "command": ["/bin/sh", "-c", _MARK, "model-mark"],
        "args": [f"{ROOT}/{marker(artifact)}", msgspec.json.encode(content).decode()],
        **{field: fetch[field] for field in shared},
    }


def _security_context(settings: FetchSettings) -> JSON:
    """The pod's. The group makes a new volume writable whose root folder belongs to root, if its driver supports that.

    Without a user in the settings, the platform fills in both.
    """
    if settings.run_as_user is None:
        return {}
    return {"fsGroup": settings.run_as_user, "fsGroupChangePolicy": "OnRootMismatch"}
