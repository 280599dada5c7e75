"""Changing a JSON object by compare-and-set: a write fails if the object changed since it was read, and is retried."""

import random
import time
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from webhook.catalog.bucket.errors import CatalogError, NotFound, PreconditionFailed, Unreachable
from webhook.catalog.bucket.store import Store

_PATIENCE_SECONDS: Final = 60
_LONGEST_PAUSE_SECONDS: Final = 0.5
V = TypeVar("V")


def change(
    store: Store, key: str, largest: int, parse: Callable[[bytes], dict[str, V]], edit: Callable[[dict[str, V]], None]
) -> dict[str, V]:
    """Change the map in an object of at most `largest` bytes, and return the new one. Raises CatalogError.

    `edit` changes the map in place, or raises. It is called again after a conflict. An object that does not exist is an
    empty map.
    """
    deadline, pause = time.monotonic() + _PATIENCE_SECONDS, 0.01
    while True:
        try:
            return _change_once(store, key, largest, parse, edit)
        except (PreconditionFailed, Unreachable):
            if time.monotonic() > deadline:
                raise
        time.sleep(random.uniform(0, pause))  # noqa: S311 - jitter keeps concurrent writers apart
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)


def _change_once(
    store: Store, key: str, largest: int, parse: Callable[[bytes], dict[str, V]], edit: Callable[[dict[str, V]], None]
) -> dict[str, V]:
    try:
        existing = store.read(key, largest)
    except NotFound:
        existing = None
    values = parse(existing.body) if existing else {}
    before = dict(values)
    edit(values)
    if values == before:
        return values
    content = msgspec.json.encode(dict(sorted(values.items())))
    if len(content) > largest:
        raise CatalogError(f"{store.uri(key)} would exceed {largest} bytes; remove entries that are not needed")
    store.check_conditions()
    if existing:
        store.replace(key, content, existing.etag)
    else:
        store.create(key, content)
    return values
