"""The place of an image: a registry, the name of a repository in it, and a tag."""

import re
from typing import Final, NamedTuple

from webhook.errors import InvalidInput
from webhook.fields.parsers import IMAGE_REPOSITORY

_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)
_REPOSITORY: Final = re.compile(IMAGE_REPOSITORY, re.ASCII)
_LONGEST: Final = 255


class ImageName(NamedTuple):
    """A repository and a tag. `registry` is a host, possibly with a port."""

    registry: str
    name: str
    tag: str

    @property
    def repository(self) -> str:
        """Registry and name."""
        return f"{self.registry}/{self.name}"


def parse(text: str, version: str) -> ImageName:
    """Parse REGISTRY/NAME[:TAG]. The default tag is the version. Raises InvalidInput."""
    repository, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:
        repository, tag = text, tag_of(version)
    if not _REPOSITORY.fullmatch(repository) or len(repository) > _LONGEST:
        raise InvalidInput(
            f"{text!r} is not REGISTRY/NAME; write such as registry.example.com/models/my-model, with small letters, "
            "or docker.io/ORGANIZATION/my-model"
        )
    if not _TAG.fullmatch(tag):
        raise InvalidInput(
            f"{tag!r} is not a tag; give one of at most 128 letters, digits and ._- after REGISTRY/NAME:"
        )
    registry, _, name = repository.partition("/")
    return ImageName(registry, name, tag)


def tag_of(version: str) -> str:
    """The tag of a version. `+`, which tags cannot have, becomes `_`, as Helm does it."""
    return version.replace("+", "_")
