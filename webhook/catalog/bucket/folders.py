"""The names of folders in a bucket, and the model and version that a name stands for."""

import re
from typing import Final

from webhook.catalog.versions import order

ALIASES: Final = ".aliases"
"""The folder with one JSON object per model: a map from aliases to versions."""
IMAGES: Final = ".images"
"""The folder with one JSON object per model: a map from versions to the OCI images that have their files."""
LAYERS: Final = ".layers"
"""The folder with an object for each layer of an image, by what is in the layer: its digest. These objects only save
work, and may be deleted."""
WITHDRAWN: Final = ".withdrawn"
"""The folder with one JSON object per model: a map from its withdrawn versions to why and when they were withdrawn."""
UNFINISHED: Final = ".publishing"
"""The folder with a marker for each started upload. A marker is obsolete once the version has a manifest."""

_WHOLE: Final = re.compile(r"v?\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?|\d{4}-\d{2}-\d{2}", re.ASCII)
_SHORT: Final = re.compile(r"v?\d+(\.\d+)?", re.ASCII)


def split(layout: str, folder: str) -> tuple[str, str] | None:
    """The model and the version in a folder's name. None without an ordered version: it may be a parent of models.

    A name such as `my-model-1.2.3-rc.1` has several readings. Complete versions win over short ones, and among those
    the last possible start wins. Versions without an order, such as `blue`, are found only by exact requests.
    """
    if layout == "{model}/{version}":
        model, _, version = folder.rpartition("/")
        return (model, version) if model and order(version) else None
    parent, slash, name = folder.rpartition("/")
    hyphens = [index for index, character in enumerate(name) if character == "-" and index]
    for pattern in (_WHOLE, _SHORT):
        for hyphen in reversed(hyphens):
            version = name[hyphen + 1 :]
            if pattern.fullmatch(version) and order(version):
                return f"{parent}{slash}{name[:hyphen]}", version
    return None
