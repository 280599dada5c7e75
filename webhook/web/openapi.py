"""The OpenAPI document of what people and programs may ask, /openapi.json, and the same as a page, /docs."""

from html import escape
from typing import Any, Final

import msgspec
import yaml
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from webhook import __version__
from webhook.catalog.lookup.exact import ExactCatalog
from webhook.preview import SERVED, PreviewResponse, answer, preview, read
from webhook.preview.access import AUDIENCE, TOKEN_HEADER
from webhook.preview.dump import dump
from webhook.preview.text import without_script
from webhook.settings import Settings
from webhook.web.page import HEADERS

_CONTAINER: Final = {"name": "app", "image": "registry.example.com/my-inference-app:3.5.0"}
_MANIFEST: Final = {
    "type": "object",
    "description": "An object of Kubernetes: anything that `kubectl apply` takes, a List, or an AdmissionReview.",
    "required": ["apiVersion", "kind"],
    "properties": {
        "apiVersion": {"type": "string", "minLength": 1},
        "kind": {"type": "string", "minLength": 1},
        "metadata": {"type": ["object", "null"]},
    },
}
_ASKED: Final = {"model": "my-model", "version": "1.2.3"}
_FAILURES: Final = {
    400: "The body is no manifest; the message names the line.",
    401: "No token, or one that the cluster does not know.",
    403: "The token's owner may not create pods in a namespace of the manifest.",
    406: "None of the formats that the client takes.",
    413: (
        f"More than {SERVED.size} bytes, {SERVED.documents} documents, {SERVED.models} models or {SERVED.nodes} nodes."
    ),
    429: "Too many requests; Retry-After says when to come again.",
    500: "A fault of the webhook's.",
    503: "The API server, or S3, does not answer, or too much is on its way.",
}


def openapi(settings: Settings) -> dict[str, Any]:
    """The document, with examples of this installation's annotations."""
    (schema,), schemas = msgspec.json.schema_components([PreviewResponse], ref_template="#/components/schemas/{name}")
    annotations = {f"{settings.annotation_prefix}/{name}": text for name, text in _ASKED.items()}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "my-pod", "annotations": annotations},
        "spec": {"containers": [_CONTAINER]},
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "my-inference-app", "namespace": "apps"},
        "spec": {
            "selector": {"matchLabels": {"app": "my-inference-app"}},
            "template": {
                "metadata": {"labels": {"app": "my-inference-app"}, "annotations": annotations},
                "spec": {"containers": [_CONTAINER]},
            },
        },
    }
    failure = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
    shown = _previewed(deployment, settings)
    is_open = settings.preview.auth == "none"
    operation = {
        "operationId": "preview",
        "summary": "What the cluster would do with a manifest",
        "description": (
            "Takes objects of any kind, Lists and AdmissionReviews, in YAML or JSON, several documents among them. "
            "Decides on each as admission would, and changes nothing. Nothing of the manifest is kept."
        ),
        "security": [] if is_open else [{"bearer": []}, {"behindProxy": []}],
        "parameters": [
            {
                "name": "namespace",
                "in": "query",
                "description": "The namespace of documents that name none.",
                "schema": {"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", "maxLength": 63},
                "example": "apps",
            }
        ],
        "requestBody": {
            "required": True,
            "description": "The manifest. Its content tells whether it is YAML or JSON, whatever the media type says.",
            "content": {
                "application/yaml": {"schema": _reference("Manifest"), "example": deployment},
                "application/json": {"schema": _reference("Manifest"), "example": pod},
            },
        },
        "responses": {
            "200": {
                "description": "A preview of each document, in the format that Accept asks for.",
                "content": {
                    "application/json": {"schema": schema, "example": _example(_previewed(pod, settings))},
                    "application/yaml": {
                        "schema": _reference("Manifest"),
                        "example": _example(shown)["documents"][0]["manifest"],
                    },
                    "text/plain": {"schema": {"type": "string"}, "example": shown.diff},
                },
            },
            **{
                str(status): {"description": text, "content": {"application/json": {"schema": failure}}}
                for status, text in _FAILURES.items()
            },
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "model-injector", "version": __version__, "license": {"name": "Apache-2.0"}},
        "paths": {"/preview": {"post": operation}},
        "components": {
            "schemas": {**schemas, "Manifest": _MANIFEST},
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": f"A token of the cluster's: `kubectl create token ACCOUNT --audience {AUDIENCE}`.",
                },
                "behindProxy": {
                    "type": "apiKey",
                    "in": "header",
                    "name": TOKEN_HEADER,
                    "description": "The same token, where the API server's proxy takes Authorization for itself.",
                },
            },
        },
    }


def _previewed(manifest: dict[str, Any], settings: Settings) -> PreviewResponse:
    """The preview of a manifest, as an installation without a catalog gives it."""
    body = dump(manifest).encode()
    outcomes = [preview(document, "apps", settings, ExactCatalog(settings), SERVED) for document in read(body, SERVED)]
    return answer(body, outcomes, SERVED)


def _example(previewed: PreviewResponse) -> Any:
    return without_script(msgspec.to_builtins(previewed))


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def docs_routes(settings: Settings) -> list[Route]:
    """/openapi.json and /docs."""
    document = openapi(settings)
    encoded, page = msgspec.json.encode(document), docs_page(document)

    async def as_json(_: Request) -> Response:
        return Response(encoded, headers=dict(HEADERS), media_type="application/json")

    async def as_page(_: Request) -> Response:
        return Response(page, headers=dict(HEADERS), media_type="text/html")

    return [Route("/openapi.json", as_json), Route("/docs", as_page)]


def docs_page(document: dict[str, Any]) -> str:
    """The document as HTML without scripts, which any Content-Security-Policy takes."""
    operation = document["paths"]["/preview"]["post"]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        "<title>model-injector: API</title><link rel=icon href=icon.svg>",
        "<link rel=stylesheet href=page.css><link rel=stylesheet href=docs.css>",
        "<main class=docs>",
        "<p><a href='./'>Preview</a> · <a href=openapi.json>openapi.json</a></p>",
        f"<h1>POST /preview</h1><p>{escape(operation['summary'])}. {escape(operation['description'])}</p>",
        "<h2>Access</h2>",
        _table(
            ("scheme", "description"),
            [(name, one["description"]) for name, one in document["components"]["securitySchemes"].items()],
        ),
        "<h2>Parameters</h2>",
        _table(("query", "description"), [(one["name"], one["description"]) for one in operation["parameters"]]),
        "<h2>Body</h2>",
        f"<p>{escape(operation['requestBody']['description'])}</p>",
        *(_example_of(media, content) for media, content in operation["requestBody"]["content"].items()),
        "<h2>Answers</h2>",
        _table(("status", "meaning"), [(code, one["description"]) for code, one in operation["responses"].items()]),
        *(_example_of(media, content) for media, content in operation["responses"]["200"]["content"].items()),
        "<h2>Schemas</h2>",
        *(_schema(name, schema) for name, schema in document["components"]["schemas"].items()),
        "</main></html>",
    ]
    return "\n".join(parts)


def _example_of(media: str, content: dict[str, Any]) -> str:
    if "example" not in content:
        return f"<h3>{escape(media)}</h3>"
    example = content["example"]
    if media == "application/yaml":
        text = yaml.safe_dump(example, sort_keys=False)
    else:
        text = example if isinstance(example, str) else msgspec.json.format(msgspec.json.encode(example)).decode()
    return f"<h3>{escape(media)}</h3><pre tabindex=0>{escape(text)}</pre>"


def _schema(name: str, schema: dict[str, Any]) -> str:
    rows = [
        (field, ". ".join(filter(None, (_type(one), one.get("description")))))
        for field, one in schema.get("properties", {}).items()
    ]
    return f"<h3 id='{escape(name)}'>{escape(name)}</h3><p>{escape(schema.get('description', ''))}</p>" + _table(
        ("field", "type"), rows
    )


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "items" in schema:
        return f"list of {_type(schema['items'])}"
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    return " or ".join(map(str, schema["enum"])) if "enum" in schema else str(schema.get("type", "any"))


def _table(head: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    first, second = (f"<th scope=col>{escape(one)}" for one in head)
    body = "".join(f"<tr><th scope=row>{escape(name)}<td>{escape(text)}" for name, text in rows)
    return f"<table><thead><tr>{first}{second}<tbody>{body}</table>"
