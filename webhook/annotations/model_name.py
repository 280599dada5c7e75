"""The value of the annotation `model`: a name. Recognizes references and locations, which belong into other
annotations.
"""

import re
from typing import Final

from webhook.fields.parsers import WrittenOtherwise, matching

_PART: Final = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_NAME: Final = rf"{_PART}(?:/{_PART})*"
_REFERENCE: Final = re.compile(rf"({_NAME})(@|:@?)(\S+)", re.ASCII)
_LOCATION: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^/\s]*)/?(\S*)", re.ASCII)
_NO_ALIAS: Final = re.compile(r"(?:v?\d|[\^~<>=*]|(?i:latest)$)", re.ASCII)
_SHOWN: Final = 80
_name = matching(_NAME, 200)


def model_name(text: str) -> str:
    """The text, if it is a model's name. Raises ValueError, and WrittenOtherwise if it names a version or a bucket."""
    if location := _LOCATION.fullmatch(text):
        raise WrittenOtherwise("is a location", _of_location(*location.groups()))
    if reference := _REFERENCE.fullmatch(text):
        model, mark, version = reference.groups()
        is_alias = "@" in mark and not _NO_ALIAS.match(version)
        raise WrittenOtherwise(
            "also names a version", {"model": model[:_SHOWN], "version": f'"{"@" * is_alias}{version[:_SHOWN]}"'}
        )
    return _name(text)


def _of_location(bucket: str, key: str) -> dict[str, str]:
    """The annotations for a folder in a bucket. Only a source's settings tell which part of the key is the model."""
    folder = key.rstrip("/*").rpartition("/")[2][:_SHOWN]
    return {
        "source": f"the name of the source with the bucket {bucket[:_SHOWN]}",
        "model": f"the model in the folder {folder}" if folder else "the model's name",
        "version": "its version",
    }
