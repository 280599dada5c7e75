"""What the cache of a node has, as JSON for `model-injector cache`."""

import msgspec

from webhook.node_cache.budget import space_of
from webhook.node_cache.folder import CacheFolder
from webhook.node_cache.publisher import Publisher

PATH = "/cache"
"""The path on the port for operators."""


class CachedVersion(msgspec.Struct, frozen=True, rename="camel"):
    """A version that is in the cache, or on its way into it."""

    source: str
    model: str
    version: str
    bytes: int
    """Its size; of a download under way, what is there."""
    volumes: int = 0
    """How many pods mount it."""
    used_at: float | None = None
    """When it was mounted last, in seconds since the epoch. None while it is downloaded."""
    is_kept: bool = False
    """Whether it stays without pods, because the settings or the reference of a pod name it."""
    total: int | None = None
    """Of a download: the size of the whole version."""


class NodeReport(msgspec.Struct, frozen=True, rename="camel"):
    """The cache of one node. Sizes are in bytes."""

    node: str
    budget: int
    used: int
    free: int
    """What the cache may add to the disk."""
    versions: tuple[CachedVersion, ...]


def report(node: str, folder: CacheFolder, publisher: Publisher, budget: str) -> NodeReport:
    """What the cache has now."""
    space, entries = space_of(folder.root, budget), folder.entries()
    volumes = publisher.mounted()
    versions = [
        CachedVersion(
            source=entry.marker.source,
            model=entry.marker.model,
            version=entry.marker.version,
            bytes=entry.marker.bytes,
            volumes=volumes[key],
            used_at=entry.used_at,
            is_kept=key in publisher.kept,
        )
        for key, entry in entries.items()
    ]
    versions += (
        CachedVersion(volume.source, volume.model, volume.version, done, total=total)
        for volume, done, total in publisher.downloads()
    )
    used = sum(entry.marker.bytes for entry in entries.values()) + sum(folder.partial_bytes().values())
    versions.sort(key=lambda each: (each.model, each.version, each.source))
    return NodeReport(node, space.budget, used, space.free, tuple(versions))
