"""Aliases: names that stand for a version, and may stand for another tomorrow.

Compare and set: what was read is written back only where nobody has written in between, else it is read again.
"""

import random
import time
from collections.abc import Callable
from typing import Final

import msgspec

from webhook.catalog.bucket.folders import ALIASES
from webhook.catalog.bucket.listing import parse_aliases
from webhook.catalog.bucket.store import CatalogError, NotFound, PreconditionFailed, Store, Unreachable

_LARGEST: Final = 256 * 1024
_PATIENCE_SECONDS: Final = 60
_LONGEST_PAUSE_SECONDS: Final = 0.5


def change(store: Store, model: str, edit: Callable[[dict[str, str]], None]) -> dict[str, str]:
    """Edit the aliases of a model, and give them as they are then. Raises CatalogError.

    `edit` changes a dictionary of names to versions in place, may raise, and is called anew with each state that it
    meets.
    """
    key = f"{ALIASES}/{model}.json"
    deadline, pause = time.monotonic() + _PATIENCE_SECONDS, 0.01
    while True:
        try:
            return _change_once(store, key, edit)
        except (PreconditionFailed, Unreachable):
            if time.monotonic() > deadline:
                raise
        time.sleep(random.uniform(0, pause))  # noqa: S311 - so that writers do not meet again
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)


def _change_once(store: Store, key: str, edit: Callable[[dict[str, str]], None]) -> dict[str, str]:
    try:
        held = store.read(key, _LARGEST)
    except NotFound:
        held = None
    aliases = parse_aliases(held.body) if held else {}
    before = dict(aliases)
    edit(aliases)
    if aliases == before:
        return aliases
    content = msgspec.json.encode(dict(sorted(aliases.items())))
    if len(content) > _LARGEST:
        raise CatalogError(f"more aliases than {_LARGEST} bytes can hold; remove some")
    if held:
        store.replace(key, content, held.etag)
    else:
        store.create(key, content)
    return aliases
