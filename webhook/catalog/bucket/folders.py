"""The names of folders: which version of which model stands in one."""

import re
from typing import Final

from webhook.catalog.versions import order

ALIASES: Final = ".aliases"
"""The folder, beside the models', with a JSON object for each model: aliases to versions."""
UNFINISHED: Final = ".publishing"
"""The folder with a mark for each version whose upload has begun; of no meaning once that has a manifest."""

_WHOLE: Final = re.compile(r"v?\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?|\d{4}-\d{2}-\d{2}", re.ASCII)
_SHORT: Final = re.compile(r"v?\d+(\.\d+)?", re.ASCII)


def split(layout: str, folder: str) -> tuple[str, str] | None:
    """The model and the version that a folder's name says; None where it says none, and may be one above models.

    `my-model-1.2.3-rc.1` can be read in more than one way: what looks most like a whole version is it, and of such the
    last. Versions without an order have no such look; they are found by those who ask for them.
    """
    if layout == "{model}/{version}":
        model, _, version = folder.rpartition("/")
        return (model, version) if model and order(version) else None
    above, slash, name = folder.rpartition("/")
    starts = [index for index, sign in enumerate(name) if sign == "-" and index]
    for look in (_WHOLE, _SHORT):
        for start in reversed(starts):
            version = name[start + 1 :]
            if look.fullmatch(version) and order(version):
                return f"{above}{slash}{name[:start]}", version
    return None
