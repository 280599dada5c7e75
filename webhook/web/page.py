"""GET /: the page that shows previews, and what it is made of.

All of it is read once, at the start, and is the same for everyone: what someone previews goes to /preview alone. No
path is looked up in a folder, for each file has a route of its own.
"""

import html
import re
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from string import Template
from typing import Final

from starlette.responses import Response
from starlette.routing import Route

from webhook.annotations.contract import ANNOTATIONS, WRITTEN
from webhook.fields.annotation import Annotation
from webhook.preview import SERVED
from webhook.preview.access import AUDIENCE
from webhook.settings import Settings

_POLICY: Final = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
)
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
HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-cache",  # after an upgrade, no old module shall meet a new one
    "Content-Security-Policy": "; ".join(_POLICY),
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
_DEFAULT_PREFIX: Final[str] = Settings.model_fields["annotation_prefix"].default


def page_routes(settings: Settings) -> list[Route]:
    """A route for the page, and one for each of its files, for GET and HEAD."""
    return [
        Route("/" if name == _INDEX else f"/{name}", _response(name, text), methods=["GET"])
        for name, text in assets(settings).items()
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


def _response(name: str, text: str) -> Response:
    """An answer that is sent again and again; Starlette's are ASGI applications."""
    return Response(text, headers=dict(HEADERS), media_type=_MEDIA_TYPES[name.rpartition(".")[2]])


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
