"""AdmissionReviews, as an API server sends them, and what comes of their answers."""

import base64
import json
from collections.abc import Sequence
from typing import Any

import jsonpatch

JSON = dict[str, Any]


def review(
    pod: JSON, namespace: str = "apps", uid: str = "705ab4f5-6393-11e8-b7cc-42010a800002", **request: Any
) -> JSON:
    """The review of a pod's creation; `request` overrides fields of the request."""
    kind = {"group": "", "version": "v1", "kind": "Pod"}
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": uid,
            "kind": kind,
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "requestKind": kind,
            "namespace": namespace,
            "operation": "CREATE",
            "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller"},
            "object": pod,
            "oldObject": None,
            "dryRun": False,
            "options": {"apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions"},
            **request,
        },
    }


def pod_of(workload: JSON) -> JSON:
    """The pod that a workload's controller would make: its template, with a name to be generated."""
    template = workload["spec"]["template"]
    metadata = {**template.get("metadata", {}), "generateName": f"{workload['metadata']['name']}-"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def operations(answer: JSON) -> list[JSON]:
    """The JSON Patch of an AdmissionReview's response."""
    patch = answer["response"].get("patch")
    found: list[JSON] = json.loads(base64.b64decode(patch)) if patch else []
    return found


def apply(pod: JSON, patch: Sequence[Any]) -> JSON:
    """What the API server makes of a pod and a patch, which reaches it as JSON."""
    changed: JSON = jsonpatch.apply_patch(pod, json.loads(json.dumps(patch)))
    return changed
