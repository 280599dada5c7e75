"""Limits of previews."""

from dataclasses import dataclass
from typing import Final

from webhook.kubernetes.unstructured import DEEPEST
from webhook.preview.errors import InvalidManifest, ManifestTooLarge


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper limits of a preview. Exceeding one raises ManifestTooLarge."""

    size: int
    """Bytes of the manifest, and characters of its scalars where each alias stands for its anchor's."""
    documents: int
    """Objects in the manifest. Items of a List count individually."""
    models: int
    """Models that all pods together request. Each adds an init container, script included, to the response."""
    nodes: int
    """YAML nodes of all documents together: mappings, lists and scalars, keys included. An alias counts as all nodes
    that it stands for."""
    answer: int
    """Bytes of the response."""

    def check(self, nodes: int = 0, size: int = 0) -> None:
        """Raise ManifestTooLarge for more nodes or a larger size."""
        if nodes > self.nodes:
            raise ManifestTooLarge(f"the manifest has more than {self.nodes} nodes; preview a part of it")
        if size > self.size:
            raise ManifestTooLarge(f"the manifest is larger than {self.size} bytes; preview a part of it")


SERVED: Final = Limits(512 * 1024, 500, 100, 50_000, 4 * 1024 * 1024)
"""The limits of a server: many times the size of typical manifests, and small enough for any user to request."""
LOCAL: Final = Limits(64 * 1024 * 1024, 20_000, 100_000, 10_000_000, 1 << 40)
"""The limits of the command line: large enough for a whole release with CustomResourceDefinitions."""


def check_depth(depth: int, line: int = 0) -> None:
    """Raise InvalidManifest, with the line if it is known, for a value that is nested too deep."""
    if depth > DEEPEST:
        raise InvalidManifest(f"{f'line {line}:' if line else 'the manifest is'} nested deeper than {DEEPEST} levels")
