"""Short names of the models of a pod, for the names of init containers and environment variables."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from webhook.model.artifact import Artifact

_LONGEST: Final = 57
"""The maximum length, so that `fetch-<slug>` is a DNS label of at most 63 characters."""


def slugs(artifacts: Sequence[Artifact]) -> list[str]:
    """A unique DNS label for each artifact: the model's name, with the version and a hash as far as necessary."""
    names = [_slug(artifact.model) for artifact in artifacts]
    if len(set(names)) == len(names):
        return names
    for wider in ("{0.model}-{0.version}", "{0.model}-{0.version}-{1}"):
        shared = {name for name, count in Counter(names).items() if count > 1}
        names = [
            _slug(wider.format(artifact, _hash(artifact.uri))) if name in shared else name
            for name, artifact in zip(names, artifacts, strict=True)
        ]
    return names


@lru_cache(maxsize=1024)
def _slug(text: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return slug if len(slug) <= _LONGEST else f"{slug[: _LONGEST - 9].rstrip('-')}-{_hash(text)}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
