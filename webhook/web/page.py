"""GET / and GET /docs: the preview page, the page of the API documentation, and the files of both.

The files do not depend on the user, so they need no access control. The project's own files are read once, at the
start. Each file has its own route, so that no request can name a path in a folder.
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
_DENIED_FEATURES: Final = (
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
    # Swagger UI assigns sanitized HTML to elements, sets inline styles, and has data: images in its style sheet.
    # Scripts are restricted to files of this server, as on the other page.
    **{directive: source for directive, source in _POLICY.items() if directive != "require-trusted-types-for"},
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data:",
}


def _header_value(policy: Mapping[str, str]) -> str:
    return "; ".join(f"{directive} {source}" for directive, source in policy.items())


HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-cache",  # after an upgrade, a cached module must not be combined with a new one
    "Content-Security-Policy": _header_value(_POLICY),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # clipboard-write keeps its default, because "Copy link" uses it.
    "Permissions-Policy": ", ".join(f"{name}=()" for name in _DENIED_FEATURES),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_MEDIA_TYPES: Final = {
    "css": "text/css",
    "html": "text/html",
    "js": "text/javascript",
    "svg": "image/svg+xml",
    "yaml": "text/plain",  # browsers display text/plain, and download other types
}
_INDEX: Final = "index.html"
_DOCS: Final = "docs.html"
_DOCS_HEADERS: Final = {**HEADERS, "Content-Security-Policy": _header_value(_DOCS_POLICY)}
_PAGES: Final = {_INDEX: ("/", HEADERS), _DOCS: ("/docs", _DOCS_HEADERS)}
_SWAGGER_UI: Final = ("swagger-ui.css", "swagger-ui-bundle.js")
_DEFAULT_PREFIX: Final[str] = Settings.model_fields["annotation_prefix"].default


def page_routes(settings: Settings) -> list[Route]:
    """A route for GET and HEAD of each page and each file."""
    return [
        *(_route(name, text) for name, text in assets(settings).items()),
        *(_swagger_ui_route(name) for name in _SWAGGER_UI),
    ]


def assets(settings: Settings) -> dict[str, str]:
    """The content of the pages' files by relative path, with values of these settings filled in."""
    contents = dict(sorted(_read(files("webhook.web") / "static", "").items()))
    contents[_INDEX] = Template(contents[_INDEX]).substitute(
        annotations="\n".join(_entry(annotation, settings.annotation_prefix) for annotation in ANNOTATIONS),
        audience=html.escape(AUDIENCE),
        most_bytes=SERVED.size,
        prefix=html.escape(settings.annotation_prefix),
        written=html.escape(" ".join(WRITTEN)),
    )
    examples = {name: text for name, text in contents.items() if name.startswith("examples/")}
    prefixed = {
        name: text.replace(f"{_DEFAULT_PREFIX}/", f"{settings.annotation_prefix}/") for name, text in examples.items()
    }
    return {**contents, **prefixed}


def _read(folder: Traversable, path: str) -> dict[str, str]:
    contents = dict[str, str]()
    for item in folder.iterdir():
        if item.is_dir():
            contents |= _read(item, f"{path}{item.name}/")
        else:
            contents[f"{path}{item.name}"] = item.read_text("utf-8")
    return contents


def _route(name: str, text: str) -> Route:
    """A route that always sends the same response object, which is possible because it is an ASGI application."""
    path, headers = _PAGES.get(name, (f"/{name}", HEADERS))
    response = Response(text, headers=dict(headers), media_type=_media_type(name))
    return Route(path, response, methods=["GET"])


def _swagger_ui_route(name: str) -> Route:
    """A route for a file of Swagger UI, read at each request: two megabytes are not worth keeping in memory."""
    path = str(files(fastapi_swagger) / "resources" / name)

    async def respond(_: Request) -> Response:
        return FileResponse(path, headers=dict(HEADERS), media_type=_media_type(name))

    return Route(f"/{name}", respond, methods=["GET"])


def _media_type(name: str) -> str:
    return _MEDIA_TYPES[name.rpartition(".")[2]]


def _entry(annotation: Annotation, prefix: str) -> str:
    """The HTML entry of an annotation in the page's list."""
    default_text = annotation.default_in_words
    default = f"<dd><b>Default</b> {_as_html(default_text)}</dd>" if default_text else ""
    name = html.escape(annotation.name)
    return (
        f'<div class="entry" id="annotation-{name}">'
        f'<dt><code><span class="prefix">{html.escape(prefix)}/</span><wbr>{name}</code></dt>'
        f"<dd>{_as_html(annotation.meaning)}</dd>"
        f"<dd><b>Value</b> {_as_html(annotation.allowed)}</dd>"
        f"{default}</div>"
    )


def _as_html(text: str) -> str:
    """Escape a text for HTML, and convert its backticks to code elements."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(text))
