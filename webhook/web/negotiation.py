"""Content negotiation: the format of a preview by the Accept header."""

from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import Header

from webhook.http.errors import RequestError
from webhook.preview import FORMATS

_SYNONYMS: Final = {
    "application/x-yaml": "application/yaml",
    "text/yaml": "application/yaml",
    "text/x-yaml": "application/yaml",
    "text/x-diff": "text/plain",
}


class NotAcceptable(RequestError):
    """The client does not accept any format of FORMATS."""

    status = 406


async def media_type(accept: Annotated[str, Header(include_in_schema=False)] = "*/*") -> str:
    """The media type of FORMATS with the highest weight in an Accept header. Raises NotAcceptable.

    A coroutine, because FastAPI runs other dependencies in threads.
    """
    weights = dict[str, float]()
    for entry in accept.split(","):
        media, *parameters = (part.strip().lower() for part in entry.split(";"))
        weights[_SYNONYMS.get(media, media)] = _weight(parameters)
    ranges = {media: (media, f"{media.partition('/')[0]}/*", "*/*") for media in FORMATS}
    preferences = {
        media: next((weights[name] for name in names if name in weights), 0.0) for media, names in ranges.items()
    }
    best = max(preferences, key=lambda media: preferences[media])
    if not preferences[best]:
        raise NotAcceptable(f"Accept allows no available format; use one of {', '.join(FORMATS)}")
    return best


def _weight(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter.removeprefix("q="))
            except ValueError:
                return 0.0
    return 1.0
