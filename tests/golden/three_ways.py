"""One manifest through /mutate, /preview and the command line, each in its own words, all in one form."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from jsonpointer import resolve_pointer

from tests.support.reviews import apply, operations, review
from tests.support.webhook import Webhook
from webhook.cli import main
from webhook.fetching.script import SCRIPT

JSON = Any
NAMESPACE = "default"
PINNED_KINDS = {"Deployment": "apps", "StatefulSet": "apps", "DaemonSet": "apps", "Job": "batch", "CronJob": "batch"}
INLINE = ("InferenceService", "ServingRuntime", "ClusterServingRuntime", "Workflow")
"""Kinds that have a pod's fields among their own."""
HANDED_DOWN = {
    "Notebook": "/metadata",
    "SeldonDeployment": "/spec/predictors/0",
    "PodCliqueSet": "/spec/template/cliques/0",
    "LLMInferenceService": "/spec",
}
"""Kinds whose controllers give these annotations to their pods, by the place of the mapping that has them."""
MADE = {
    "/spec/driver": ("/spec/driver", ["spark-kubernetes-driver"]),
    "/spec/executor": ("/spec/executor", ["spark-kubernetes-executor"]),
    "/spec/taskSpec": ("/metadata", ["step-evaluate", "step-report"]),
    "/spec/services/Worker": ("/spec/services/Worker/extraPodMetadata", ["main"]),
}
"""Pods that controllers make: the place of their annotations, and their containers, by the place in the object."""
MADE_KINDS = ("SparkApplication", "TaskRun", "DynamoGraphDeployment")
SHOWN = ("kind", "name", "namespace", "decision", "reason", "message", "warnings", "models", "patch", "pods")
SHOWN_OF_PODS = ("path", "decision", "reason", "message", "warnings", "patch")
_LONGEST_WARNING = 256
_ADDRESSES = cycle(f"127.0.0.{number}" for number in range(2, 255))


@dataclass(frozen=True)
class World:
    """A running installation: its webhook and its settings file. `names` are placeholders by what they stand for."""

    webhook: Webhook
    client: httpx.Client
    config: Path
    names: Mapping[str, str]
    kinds: Collection[tuple[str, str, str]] = ()
    """Group, version and resource of the kinds that the API server sends besides those of Kubernetes."""

    def plain(self, value: JSON) -> JSON:
        """A result without what changes each time, or with each release."""
        text = json.dumps(value)
        for found, name in self.names.items():
            text = text.replace(found, name)
        return json.loads(text.replace(json.dumps(SCRIPT)[1:-1], "(fetch.sh)"))


def previewed(world: World, body: bytes) -> JSON:
    """What /preview answers. Each request comes from another address, because the rate is limited for each address."""
    with world.webhook.client(next(_ADDRESSES)) as client:
        answer = client.post("/preview", params={"namespace": NAMESPACE}, content=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["documents"]


def commanded(world: World, file: Path, capture: pytest.CaptureFixture[str]) -> tuple[int, JSON]:
    """What the command prints, and its status."""
    status = main(["preview", "-f", str(file), "-n", NAMESPACE, "--config", str(world.config), "-o", "json"])
    return status, json.loads(capture.readouterr().out)["documents"]


def shown(document: JSON) -> JSON:
    """The part of a preview that stands in what is expected."""
    pods = [{name: pod[name] for name in SHOWN_OF_PODS} for pod in document["pods"]]
    return {**{name: document[name] for name in SHOWN}, "pods": pods}


@dataclass(frozen=True)
class Reviewed:
    """What /mutate answers for one object."""

    allowed: bool
    message: str
    warnings: list[str]
    patch: list[JSON]


def reviewed(world: World, asked: JSON) -> Reviewed:
    """Send a review."""
    answer = world.client.post("/mutate", json=asked)
    assert answer.status_code == 200, answer.text
    response = answer.json()["response"]
    message = response.get("status", {}).get("message", "")
    return Reviewed(response["allowed"], message, response.get("warnings", []), operations(answer.json()))


def objects(body: bytes) -> Iterator[tuple[JSON, JSON]]:
    """The objects of a manifest, each with the review that it came in, if it did."""
    for document in yaml.load_all(body, yaml.CSafeLoader):
        if document is None:
            continue
        unshared = json.loads(json.dumps(document, default=str))  # a patch of one alias does not change the others
        if unshared["kind"] == "Template":
            text = json.dumps(unshared["objects"])
            for parameter in unshared["parameters"]:
                text = text.replace(f'"${{{{{parameter["name"]}}}}}"', parameter.get("value", "?"))
                text = text.replace(f"${{{parameter['name']}}}", parameter.get("value", f"${{{parameter['name']}}}"))
            unshared = {"kind": "List", "items": json.loads(text)}
        for each in unshared["items"] if unshared["kind"] == "List" else [unshared]:
            if each["kind"] == "AdmissionReview":
                yield each["request"]["object"], each
            else:
                yield each, None


def stored(world: World, document: JSON, namespace: str) -> tuple[JSON, Reviewed]:
    """What the API server stores of an object, and what it was told: it sends workloads to the webhook, too."""
    group, _, version = document["apiVersion"].rpartition("/")
    kind, resource = document["kind"], (group, version, f"{document['kind'].lower()}s")
    if (PINNED_KINDS.get(kind), "v1") != (group, version) and resource not in world.kinds:
        return document, Reviewed(allowed=True, message="", warnings=[], patch=[])
    asked: JSON = {
        "kind": {"group": group, "version": version, "kind": kind},
        "resource": dict(zip(("group", "version", "resource"), resource, strict=True)),
    }
    answer = reviewed(world, review(document, namespace, **asked))
    return apply(document, answer.patch), answer


MODELS = ("model", "sklearn")
"""Fields of an InferenceService's predictor that KServe makes a container of."""


def pod_at(document: JSON, path: str) -> JSON:
    """The pod that a controller makes of what stands at a path: a template, or a pod's spec with its annotations."""
    found = resolve_pointer(document, path)
    if not path:
        return found
    metadata: JSON
    spec: JSON
    if document["kind"] in MADE_KINDS:
        place, names = MADE[path]
        metadata = {"annotations": resolve_pointer(document, place).get("annotations", {})}
        spec = {"containers": [{"name": name} for name in names]}
    elif document["kind"] in HANDED_DOWN:
        place = resolve_pointer(document, HANDED_DOWN[document["kind"]])
        metadata, spec = {"annotations": place.get("annotations", {})}, dict(found.get("spec", found))
    elif "spec" in found:
        metadata, spec = found.get("metadata", {}), dict(found["spec"])
    else:
        metadata = found.get("metadata") or {"annotations": found.get("annotations", {})}
        spec = {name: value for name, value in found.items() if name not in ("annotations", "labels", "metadata")}
    if document["kind"] == "InferenceService":
        metadata["annotations"] = {**document["metadata"].get("annotations", {}), **metadata["annotations"]}
        for model in MODELS:
            if model in spec:
                spec["containers"] = [{**spec[model], "name": "kserve-container"}]
    if document["kind"] == "Workflow":
        spec["containers"] = [spec["container"]]
    if document["kind"] == "StatefulSet":
        claims = [claim["metadata"]["name"] for claim in document["spec"].get("volumeClaimTemplates", [])]
        volumes = [{"name": name, "persistentVolumeClaim": {"claimName": f"{name}-x-0"}} for name in claims]
        spec["volumes"] = volumes + spec.get("volumes", []) if volumes else spec.get("volumes")
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def in_document(document: JSON, template: str, operation: JSON) -> JSON:
    """An operation on a pod as one on the document that it is made of."""
    kind, path = document["kind"], operation["path"]
    if (
        kind == "StatefulSet"
        and path == "/spec/volumes/-"
        and "volumes" not in resolve_pointer(document, template)["spec"]
    ):
        return {**operation, "path": f"{template}/spec/volumes", "value": [operation["value"]]}
    if kind in HANDED_DOWN:
        spec = template + ("/spec" if "spec" in resolve_pointer(document, template) else "")
        start, ours = ("/metadata", HANDED_DOWN[kind]) if path.startswith("/metadata/") else ("/spec", spec)
        return {**operation, "path": ours + path.removeprefix(start)}
    if kind not in INLINE:
        return {**operation, "path": template + path}
    found = resolve_pointer(document, template)
    singular = next((name for name in (*MODELS, "container") if name in found), None)
    metadata = "" if kind == "InferenceService" and "annotations" not in found else template
    places = {
        **({"/spec/containers/0/": f"{template}/{singular}/"} if singular else {}),
        "/metadata/": f"{metadata}/metadata/" if not metadata or "metadata" in found else f"{template}/",
        "/spec/": f"{template}/",
    }
    start, ours = next((start, ours) for start, ours in places.items() if path.startswith(start))
    return {**operation, "path": ours + path.removeprefix(start)}


def clipped(warnings: list[str]) -> list[str]:
    """Warnings as an API server passes them on."""
    return [each if len(each) <= _LONGEST_WARNING else f"{each[: _LONGEST_WARNING - 1]}…" for each in warnings]
