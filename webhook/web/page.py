"""GET / and GET /docs: the page that shows previews, the page that describes their API, and the files of both.

The files are the same for everyone: manifests go to /preview alone. Those of the project are read once, at the start.
No path is looked up in a folder, as each file has a route of its own.
"""

import html
import re
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from string import Template
from typing import Final

import fastapi_swagger
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from webhook.annotations.contract import ANNOTATIONS, WRITTEN
from webhook.fields.annotation import Annotation
from webhook.preview import SERVED
from webhook.preview.access import AUDIENCE
from webhook.settings import Settings

_POLICY: Final = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "connect-src": "'self'",
    "img-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "require-trusted-types-for": "'script'",
}
_NOT_PERMITTED: Final = (
    "accelerometer",
    "camera",
    "clipboard-read",
    "display-capture",
    "fullscreen",
    "geolocation",
    "gyroscope",
    "hid",
    "magnetometer",
    "microphone",
    "midi",
    "payment",
    "publickey-credentials-get",
    "screen-wake-lock",
    "serial",
    "usb",
    "xr-spatial-tracking",
)


_DOCS_POLICY: Final = {
    # Swagger UI makes markup of text that it has sanitized, writes styles into elements, and has images in its style
    # sheet. Scripts are files of this server here as well.
    **{directive: source for directive, source in _POLICY.items() if directive != "require-trusted-types-for"},
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data:",
}


def _written(policy: Mapping[str, str]) -> str:
    return "; ".join(f"{directive} {source}" for directive, source in policy.items())


HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-cache",  # after an upgrade, no old module shall meet a new one
    "Content-Security-Policy": _written(_POLICY),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Writing the clipboard, which "Copy link" does, is the one thing that stays as browsers have it.
    "Permissions-Policy": ", ".join(f"{name}=()" for name in _NOT_PERMITTED),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_MEDIA_TYPES: Final = {
    "css": "text/css",
    "html": "text/html",
    "js": "text/javascript",
    "svg": "image/svg+xml",
    "yaml": "text/plain",  # browsers show that, and save others
}
_INDEX: Final = "index.html"
_DOCS: Final = "docs.html"
_DOCS_HEADERS: Final = {**HEADERS, "Content-Security-Policy": _written(_DOCS_POLICY)}
_PAGES: Final = {_INDEX: ("/", HEADERS), _DOCS: ("/docs", _DOCS_HEADERS)}
_SWAGGER_UI: Final = ("swagger-ui.css", "swagger-ui-bundle.js")
_DEFAULT_PREFIX: Final[str] = Settings.model_fields["annotation_prefix"].default


def page_routes(settings: Settings) -> list[Route]:
    """A route for each page, and one for each of their files, for GET and HEAD."""
    return [
        *(_route(name, text) for name, text in assets(settings).items()),
        *(_swagger_ui_route(name) for name in _SWAGGER_UI),
    ]


def assets(settings: Settings) -> dict[str, str]:
    """The page's files, by their paths relative to it, as an installation with these settings has them."""
    found = dict(sorted(_read(files("webhook.web") / "static", "").items()))
    found[_INDEX] = Template(found[_INDEX]).substitute(
        annotations="\n".join(_entry(annotation, settings.annotation_prefix) for annotation in ANNOTATIONS),
        audience=html.escape(AUDIENCE),
        most_bytes=SERVED.size,
        prefix=html.escape(settings.annotation_prefix),
        written=html.escape(" ".join(WRITTEN)),
    )
    examples = {name: text for name, text in found.items() if name.startswith("examples/")}
    prefixed = {
        name: text.replace(f"{_DEFAULT_PREFIX}/", f"{settings.annotation_prefix}/") for name, text in examples.items()
    }
    return {**found, **prefixed}


def _read(folder: Traversable, path: str) -> dict[str, str]:
    found = dict[str, str]()
    for item in folder.iterdir():
        if item.is_dir():
            found |= _read(item, f"{path}{item.name}/")
        else:
            found[f"{path}{item.name}"] = item.read_text("utf-8")
    return found


def _route(name: str, text: str) -> Route:
    """A response that is sent again and again; Starlette's are ASGI applications."""
    path, headers = _PAGES.get(name, (f"/{name}", HEADERS))
    response = Response(text, headers=dict(headers), media_type=_media_type(name))
    return Route(path, response, methods=["GET"])


def _swagger_ui_route(name: str) -> Route:
    """A file of Swagger UI. It stays on disk: two megabytes that few people ask for."""
    path = str(files(fastapi_swagger) / "resources" / name)

    async def respond(_: Request) -> Response:
        return FileResponse(path, headers=dict(HEADERS), media_type=_media_type(name))

    return Route(f"/{name}", respond, methods=["GET"])


def _media_type(name: str) -> str:
    return _MEDIA_TYPES[name.rpartition(".")[2]]


def _entry(annotation: Annotation, prefix: str) -> str:
    """What the page's list tells of an annotation."""
    otherwise = annotation.default_in_words
    default = f"<dd><b>Otherwise</b> {_marked(otherwise)}</dd>" if otherwise else ""
    name = html.escape(annotation.name)
    return (
        f'<div class="entry" id="annotation-{name}">'
        f'<dt><code><span class="prefix">{html.escape(prefix)}/</span><wbr>{name}</code></dt>'
        f"<dd>{_marked(annotation.meaning)}</dd>"
        f"<dd><b>Write</b> {_marked(annotation.allowed)}</dd>"
        f"{default}</div>"
    )


def _marked(text: str) -> str:
    """A text of ours as HTML, in which backticks mark code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(text))
