"""Pods and workloads in the shape in which an API server of Kubernetes 1.36 lists them."""

from typing import Any

from webhook.annotations.injected import InjectedModel, encode
from webhook.annotations.pinned import Pin, Pins

JSON = dict[str, Any]
PREFIX = "model-injector.io"
PODS = "/api/v1/pods"
DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS, REPLICA_SETS, REVISIONS = (
    f"/apis/apps/v1/{resource}"
    for resource in ("deployments", "statefulsets", "daemonsets", "replicasets", "controllerrevisions")
)
CRON_JOBS, JOBS = "/apis/batch/v1/cronjobs", "/apis/batch/v1/jobs"
LISTS = (DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS, REPLICA_SETS, REVISIONS, CRON_JOBS, JOBS, PODS)
CREATED, STARTED = "2026-05-01T10:00:00Z", "2026-05-01T10:00:05Z"
URI = "s3://my-ml-bucket/model-artifacts/my-model-1.2.3"


def metadata(name: str, owner: tuple[str, str] | None = None, namespace: str = "apps", **annotations: str) -> JSON:
    kind, of = owner or ("", "")
    owners = [
        {"apiVersion": "example.com/v1", "kind": "App", "name": "app", "uid": "uid-of-app"},
        {"apiVersion": "apps/v1", "kind": kind, "name": of, "uid": f"uid-of-{of}", "controller": True},
    ]
    return {
        "name": name,
        "namespace": namespace,
        "uid": f"uid-of-{name}",
        "creationTimestamp": CREATED,
        "labels": {"app": "chat"},
        "annotations": annotated(**annotations),
        **({"ownerReferences": owners} if owner else {}),
        "managedFields": [{"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:metadata": {}}}],
    }


def annotated(**annotations: str) -> JSON:
    """Annotations under the prefix, beside one of another program."""
    return {"team": "ml", **{f"{PREFIX}/{name.replace('_', '-')}": value for name, value in annotations.items()}}


def injected(model: str = "my-model", version: str = "1.2.3", strategy: str = "s3-init", **fields: str) -> str:
    uri = fields.get("uri", f"s3://my-ml-bucket/model-artifacts/{model}-{version}")
    return encode((InjectedModel(model, fields.get("asked", version), version, strategy, uri, 3, 3000, None),))


def pinned(version: str = "1.2.3", asked: str = "@champion", model: str = "my-model", source: str = "default") -> str:
    return Pins((Pin(source, model, asked, version),)).encode()


def pod(
    name: str,
    owner: tuple[str, str] | None = None,
    namespace: str = "apps",
    *,
    phase: str = "Running",
    volumes: list[JSON] | None = None,
    **annotations: str,
) -> JSON:
    return {
        "metadata": metadata(name, owner, namespace, **annotations),
        "spec": {
            "containers": [{"name": "app", "image": "chat"}],
            "volumes": [{"name": "token", "projected": {"sources": []}}, *(volumes or [])],
        },
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": "True"}]}
        | ({} if phase == "Pending" else {"startTime": STARTED}),
    }


def template(**annotations: str) -> JSON:
    return {
        "metadata": {"creationTimestamp": None, "labels": {"app": "chat"}, "annotations": annotated(**annotations)},
        "spec": {"containers": [{"name": "app", "image": "chat"}]},
    }


def workload(name: str, owner: tuple[str, str] | None = None, namespace: str = "apps", **annotations: str) -> JSON:
    """A Deployment, StatefulSet, DaemonSet, ReplicaSet or Job. The annotations are those of its template."""
    return {
        "metadata": metadata(name, owner, namespace),
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "chat"}}, "template": template(**annotations)},
        "status": {"replicas": 2},
    }


def cron_job(name: str, **annotations: str) -> JSON:
    spec = {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": template(**annotations)}}}
    return {"metadata": metadata(name), "spec": spec, "status": {}}


def revision(name: str, owner: tuple[str, str], **annotations: str) -> JSON:
    data = {"spec": {"template": {**template(**annotations), "$patch": "replace"}}}
    return {"metadata": metadata(name, owner), "data": data, "revision": 1}
