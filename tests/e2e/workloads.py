"""Manifests that ask for models, admissible in restricted namespaces."""

import json
import os
from collections.abc import Mapping
from typing import Any

JSON = dict[str, Any]
PREFIX = "model-injector.io/"
LIST = """\
import json, os, pathlib, sys, time
root = pathlib.Path(os.environ["MODEL_PATH"])
files = [path for path in root.rglob("*") if path.is_file()]
print(json.dumps({str(path.relative_to(root)): path.read_text() for path in files}), flush=True)
time.sleep(float(sys.argv[1]))
"""
"""Prints the files of the model, and sleeps."""
PRIVILEGED = "pod-security.kubernetes.io/enforce=privileged"
"""The label of namespaces whose pods may have hostPath volumes."""
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


def asking(model: str = "my-model", version: str = "1.2.3", **others: str) -> dict[str, str]:
    """The annotations that ask for a version. `others` are further ones; `_` stands for `-`."""
    asked = {"model": model, "version": version, **{name.replace("_", "-"): value for name, value in others.items()}}
    return {f"{PREFIX}{name}": value for name, value in asked.items()}


def template(annotations: Mapping[str, str] | None = None, seconds: float = 3600, **spec: Any) -> JSON:
    """A pod template whose container lists its model, and runs for some seconds."""
    restricted = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {
        "name": "app",
        "image": os.environ.get("IMAGE", "model-injector:e2e"),
        "command": ["python3", "-c", LIST, str(seconds)],
        "securityContext": restricted,
    }
    metadata: JSON = {"labels": {"app": "app"}}
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {
        "metadata": metadata,
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0, **spec},
    }


def pod(namespace: str, name: str = "app", annotations: Mapping[str, str] | None = None, **spec: Any) -> JSON:
    """A pod of its own."""
    made = template(annotations, **spec)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**made["metadata"], "name": name, "namespace": namespace},
        "spec": made["spec"],
    }


def deployment(namespace: str, made: JSON, name: str = "app", **spec: Any) -> JSON:
    """A Deployment."""
    return _workload("apps/v1", "Deployment", namespace, name, {"template": made, **_selected(), **spec})


def stateful_set(namespace: str, made: JSON, **spec: Any) -> JSON:
    """A StatefulSet."""
    return _workload(
        "apps/v1", "StatefulSet", namespace, "app", {"template": made, "serviceName": "app", **_selected(), **spec}
    )


def job(namespace: str, made: JSON, **spec: Any) -> JSON:
    """A Job."""
    return _workload("batch/v1", "Job", namespace, "app", {"template": _ending(made), **spec})


def cron_job(namespace: str, made: JSON) -> JSON:
    """A CronJob that nobody waits for: its Jobs are created from it by hand."""
    spec = {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": _ending(made)}}}
    return _workload("batch/v1", "CronJob", namespace, "app", spec)


def pinned(workload: JSON) -> str:
    """The version that the workload's only reference is pinned to."""
    (pin,) = json.loads(workload["spec"]["template"]["metadata"]["annotations"][f"{PREFIX}pinned"])["models"]
    version: str = pin["version"]
    return version


def _ending(made: JSON) -> JSON:
    return {**made, "spec": {**made["spec"], "restartPolicy": "Never"}}


def _selected() -> JSON:
    return {"selector": {"matchLabels": {"app": "app"}}}


def _workload(version: str, kind: str, namespace: str, name: str, spec: JSON) -> JSON:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}
