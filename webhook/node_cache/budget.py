"""How much the cache may hold, and which versions make room for another: pure functions."""

import os
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from webhook.errors import InjectorError
from webhook.kubernetes.quantities import parse_quantity
from webhook.node_cache.entry import Entry

_PERCENT: Final = re.compile(r"([0-9]{1,2}|100)%")
_KEPT_PERCENT: Final = 15
"""What stays free of the disk: with less, kubelet evicts pods."""


class NoRoom(InjectorError):
    """A version does not fit into the cache."""

    reason = "OutOfSpace"


class Held(msgspec.Struct, frozen=True):
    """A version in the cache."""

    key: str
    bytes: int
    used_at: float
    """When it was mounted last, in seconds since the epoch."""


def held_by(entries: Mapping[str, Entry], partial: Mapping[str, int]) -> list[Held]:
    """What is on the disk: complete versions, and downloads, of which those that were interrupted go first."""
    held = [Held(each.key, each.marker.bytes, each.used_at) for each in entries.values()]
    held += (Held(key, size, 0) for key, size in partial.items())
    return held


class Space(msgspec.Struct, frozen=True):
    """The room of the cache, in bytes."""

    budget: int
    """What it may hold."""
    free: int
    """What it may add to the disk before kubelet evicts pods. Negative if the disk is too full already."""


def space_of(folder: Path, budget: str) -> Space:
    """The room that a budget gives: a quantity such as 500Gi, or a share of the disk such as 80%."""
    disk = os.statvfs(folder)
    total, free = disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize
    percent = _PERCENT.fullmatch(budget)
    budgeted = total * int(percent[1]) // 100 if percent else int(parse_quantity(budget))
    return Space(budgeted, free - total * _KEPT_PERCENT // 100)


def evictions(
    needed: int, reserved: int, held: Iterable[Held], in_use: Collection[str], space: Space
) -> tuple[str, ...]:
    """The keys of the versions that make room for `needed` bytes: the least recently mounted first.

    `reserved` is what downloads under way will hold, of which nothing is on the disk yet, `in_use` the keys that stay.
    Raises NoRoom.
    """
    if not needed:
        return ()
    if needed > space.budget:
        raise NoRoom(f"it has {_gib(needed)}, and the cache of this node may hold {_gib(space.budget)}")
    versions = tuple(held)
    removed, lack = _removed(needed + reserved, versions, in_use, space)
    if lack > 0:
        kept, spare = sum(each.bytes for each in versions if each.key in in_use), max(space.free, 0)
        raise NoRoom(
            f"it has {_gib(needed)}, and {_gib(lack)} are missing: the cache of this node may hold "
            f"{_gib(space.budget)}, its disk has {_gib(spare)} to spare, and {_gib(kept)} are mounted or kept"
        )
    return removed


def excess(held: Iterable[Held], in_use: Collection[str], space: Space) -> tuple[str, ...]:
    """The keys of the versions to remove because others have filled the disk, or the budget is lower than it was."""
    return _removed(0, held, in_use, space)[0]


def _removed(needed: int, held: Iterable[Held], in_use: Collection[str], space: Space) -> tuple[tuple[str, ...], int]:
    """The keys of the versions that make room, and how many bytes are missing all the same; at most 0: none."""
    versions = sorted(held, key=lambda each: (each.used_at, each.key))
    lack = needed - min(space.budget - sum(each.bytes for each in versions), space.free)
    removed = list[str]()
    for each in versions:
        if lack <= 0:
            break
        if each.key not in in_use:
            removed.append(each.key)
            lack -= each.bytes
    return tuple(removed), lack


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"
