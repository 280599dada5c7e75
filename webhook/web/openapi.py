"""The OpenAPI document: FastAPI's, with examples that use the annotation prefix of this installation."""

from typing import Any, Final

import msgspec
from fastapi import FastAPI

from webhook.catalog.lookup.exact import ExactCatalog
from webhook.preview import SERVED, PreviewResponse, answer, preview, read
from webhook.preview.dump import dump
from webhook.preview.text import without_script
from webhook.settings import Settings

_ANNOTATIONS: Final = {"model": "my-model", "version": "1.2.3"}
_POD_SPEC: Final = {"containers": [{"name": "app", "image": "registry.example.com/my-inference-app:3.5.0"}]}


def openapi(app: FastAPI, settings: Settings) -> dict[str, Any]:
    """The OpenAPI document of an application that has POST /preview, with an example for each media type.

    The examples are added here because FastAPI drops null values from examples. Status 422 is removed because FastAPI
    always lists it for invalid parameters, to which this application responds with 400.
    """
    document = app.openapi()
    operation = document["paths"]["/preview"]["post"]
    pod, deployment = _manifests(settings)
    of_pod, of_deployment = _preview(pod, settings), _preview(deployment, settings)
    request, response = operation["requestBody"]["content"], operation["responses"]["200"]["content"]
    request["application/yaml"]["example"] = deployment
    request["application/json"]["example"] = pod
    response["application/yaml"]["example"] = without_script(of_deployment.documents[0].manifest)
    response["application/json"]["example"] = without_script(msgspec.to_builtins(of_pod))
    response["text/plain"]["example"] = of_deployment.diff
    operation["responses"].pop("422", None)
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
    return document


def _manifests(settings: Settings) -> tuple[dict[str, Any], dict[str, Any]]:
    """A Pod and a Deployment that request a model."""
    annotations = {f"{settings.annotation_prefix}/{name}": text for name, text in _ANNOTATIONS.items()}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "my-pod", "annotations": annotations},
        "spec": _POD_SPEC,
    }
    labels = {"app": "my-inference-app"}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "my-inference-app", "namespace": "apps"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels, "annotations": annotations}, "spec": _POD_SPEC},
        },
    }
    return pod, deployment


def _preview(manifest: dict[str, Any], settings: Settings) -> PreviewResponse:
    """The preview of a manifest by an installation without a catalog."""
    body = dump(manifest).encode()
    outcomes = [preview(document, "apps", settings, ExactCatalog(settings), SERVED) for document in read(body, SERVED)]
    return answer(body, outcomes, SERVED)
