"""The value of the annotation `model`: a name. Recognizes references and locations, which belong into other
annotations.
"""

import re
from typing import Final

from webhook.fields.parsers import REFERENCE, WrittenOtherwise, matching

_PART: Final = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_NAME: Final = rf"{_PART}(?:/{_PART})*"
_NAMED: Final = re.compile(rf"({_NAME})\s*(@|:@?|==)\s*({REFERENCE})", re.ASCII)
_LOCATION: Final = re.compile(r"(?:([a-z][a-z0-9+.-]*)://|arn:[a-z-]+:(s3):::)([^/\s]*)/?(\S*)", re.ASCII | re.I)
_STORES: Final = ("s3", "s3a", "s3n", "gs")
"""The schemes of URIs whose first part is a bucket."""
_NO_ALIAS: Final = re.compile(r"(?:v?\d|[\^~<>=*]|(?i:latest)$)", re.ASCII)
_SHOWN: Final = 80
_name = matching(_NAME, 200)


def model_name(text: str) -> str:
    """The text, if it is a model's name. Raises ValueError, and WrittenOtherwise if it names a version or a bucket."""
    if location := _LOCATION.fullmatch(text):
        scheme, of_arn, bucket, key = location.groups()
        raise WrittenOtherwise("is a location", _of_location(scheme or of_arn, bucket, key))
    if reference := _NAMED.fullmatch(text):
        model, mark, version = reference.groups()
        is_alias = "@" in mark and not _NO_ALIAS.match(version)
        raise WrittenOtherwise(
            "also names a version", {"model": model[:_SHOWN], "version": f'"{"@" * is_alias}{version[:_SHOWN]}"'}
        )
    return _name(text)


def _of_location(scheme: str, bucket: str, key: str) -> dict[str, str]:
    """The annotations for a folder. Only a source's settings tell which part of the key is the model."""
    has_bucket = bucket and scheme.lower() in _STORES
    folder = key.rstrip("/*").rpartition("/")[2][:_SHOWN]
    return {
        "source": f"the name of the source with the bucket {bucket[:_SHOWN]}" if has_bucket else "a source's name",
        "model": f"the model in the folder {folder}" if folder else "the model's name",
        "version": "its version",
    }
