"""Changing aliases, by compare-and-set: a write fails if the object changed since it was read, and is then retried."""

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
    """Change the aliases of a model, and return the new ones. Raises CatalogError.

    `edit` changes a map from aliases to versions in place, or raises. It is called again after a conflict.
    """
    key = f"{ALIASES}/{model}.json"
    deadline, pause = time.monotonic() + _PATIENCE_SECONDS, 0.01
    while True:
        try:
            return _change_once(store, key, edit)
        except (PreconditionFailed, Unreachable):
            if time.monotonic() > deadline:
                raise
        time.sleep(random.uniform(0, pause))  # noqa: S311 - jitter keeps concurrent writers apart
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)


def _change_once(store: Store, key: str, edit: Callable[[dict[str, str]], None]) -> dict[str, str]:
    try:
        existing = store.read(key, _LARGEST)
    except NotFound:
        existing = None
    aliases = parse_aliases(existing.body) if existing else {}
    before = dict(aliases)
    edit(aliases)
    if aliases == before:
        return aliases
    content = msgspec.json.encode(dict(sorted(aliases.items())))
    if len(content) > _LARGEST:
        raise CatalogError(f"the aliases of the model would exceed {_LARGEST} bytes; remove some")
    store.check_conditions()
    if existing:
        store.replace(key, content, existing.etag)
    else:
        store.create(key, content)
    return aliases
