"""A node image: the versions that the nodes with some labels have."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from webhook.errors import InvalidInput, shown
from webhook.kubernetes.names import label_value, object_name, short_hash
from webhook.model.artifact import Artifact
from webhook.strategies.node_image.nodes import in_words, node_labels
from webhook.strategies.node_image.settings import NodeImageSettings

_NAME: Final = re.compile(r"[A-Za-z0-9._+/-]+", re.ASCII)
_HEADROOM: Final = 10
"""Percent that a volume is larger than the files."""
_GIBIBYTE: Final = 1 << 30
_MOST_TAGS: Final = 20
"""The maximum number of tags that an EC2NodeClass selects an AMI by."""
_LONGEST_KEY, _LONGEST_VALUE = 128, 256
"""The maximum lengths of a tag of EC2."""


class NodeImage(msgspec.Struct, frozen=True):
    """The content of an AMI, or of a data volume's snapshot."""

    name: str
    """A DNS subdomain of at most 63 characters."""
    labels: Mapping[str, str]
    """The labels of its nodes."""
    artifacts: tuple[Artifact, ...]
    tags: Mapping[str, str]
    """The tags of the AMI or the snapshot in EC2: the nodes' labels, and for each version its folder in S3."""

    @property
    def size(self) -> int:
        """GiB that hold the files of all versions, as far as their sizes are known."""
        known = sum(artifact.object_bytes or artifact.bytes or 0 for artifact in self.artifacts)
        return -(-known * (100 + _HEADROOM) // (100 * _GIBIBYTE))


def node_images(artifacts: Iterable[Artifact], settings: NodeImageSettings, prefix: str) -> list[NodeImage]:
    """The images that contain the versions, in the order of their first version.

    Raises InvalidInput for names that cannot be written into files or tags, and for versions that exclude each other.
    """
    by_labels: dict[str, list[Artifact]] = {}
    for artifact in dict.fromkeys(artifacts):
        _check_name(artifact)
        by_labels.setdefault(_key(node_labels(artifact.model, artifact.version, settings)), []).append(artifact)
    return [_image(json.loads(key), tuple(contents), prefix) for key, contents in by_labels.items()]


def unknown_sizes(images: Iterable[NodeImage]) -> list[str]:
    """The folders of versions whose sizes are unknown."""
    return [
        artifact.folder
        for image in images
        for artifact in image.artifacts
        if not (artifact.object_bytes or artifact.bytes)
    ]


def _key(labels: Mapping[str, str]) -> str:
    return json.dumps(labels, sort_keys=True)


def _check_name(artifact: Artifact) -> None:
    """A Dockerfile has no quotes that would hold any name."""
    for name in (artifact.model, artifact.version):
        if not _NAME.fullmatch(name):
            raise InvalidInput(f"{shown(name)} cannot be written into a Dockerfile; use letters, digits and ._+-")


def _image(labels: Mapping[str, str], artifacts: tuple[Artifact, ...], prefix: str) -> NodeImage:
    folders: dict[str, str] = {}
    for artifact in artifacts:
        if folders.setdefault(artifact.folder, artifact.uri) != artifact.uri:
            raise InvalidInput(
                f"{folders[artifact.folder]} and {artifact.uri} have the same folder {artifact.folder} on a node; ask "
                "for one of them"
            )
    name = object_name("-".join(("node-image", *labels.values())), _key(labels))
    return NodeImage(name, labels, artifacts, _tags(labels, artifacts, prefix))


def _tags(labels: Mapping[str, str], artifacts: Sequence[Artifact], prefix: str) -> Mapping[str, str]:
    files = {f"{prefix}/files/{label_value(artifact.folder)}": _value(artifact.uri) for artifact in artifacts}
    tags = {**labels, **files}
    if len(tags) > _MOST_TAGS:
        raise InvalidInput(
            f"the nodes with {in_words(labels)} would have {len(artifacts)} versions, and an image has at most "
            f"{_MOST_TAGS - len(labels)}; ask for fewer, or distribute them by strategies.node-image.nodeSelector"
        )
    for key in tags:
        if len(key) > _LONGEST_KEY:
            raise InvalidInput(
                f"the key {key} is too long for a tag of EC2, which has at most {_LONGEST_KEY} characters; shorten "
                "annotationPrefix, or the keys of strategies.node-image.nodeSelector"
            )
    return tags


def _value(text: str) -> str:
    """A tag's value: the text, or its beginning and a hash."""
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 9]}-{short_hash(text)}"
