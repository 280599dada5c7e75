"""What the driver and its worker tell each other: messages of JSON, each after its length in four bytes."""

import asyncio
import socket
import struct
from typing import Final, TypeAlias

import msgspec

from webhook.node_cache.credentials import PodIdentity

_LENGTH: Final = struct.Struct(">I")
_LONGEST: Final = 1 << 24
"""Bytes of an answer. Requests need no limit: the driver has checked what is in them."""


class Volume(msgspec.Struct, frozen=True):
    """The version that a pod mounts, and who the pod is: None for what the driver fetches in advance."""

    source: str
    model: str
    version: str
    asked: str
    """The version as the pod asked for it: such as an alias."""
    digest: str
    """What the pod was admitted with; empty if that is unknown."""
    verify: str
    pod: PodIdentity | None


class Wanted(msgspec.Struct, frozen=True):
    """A reference to a version: an alias, a range, `latest`, or an exact one."""

    source: str
    model: str
    """A model's name. For versions to fetch in advance it may be a glob."""
    asked: str


class Look(msgspec.Struct, frozen=True, tag=True):
    """Read what a version consists of, as the pod may."""

    id: int
    volume: Volume


class Fetch(msgspec.Struct, frozen=True, tag=True):
    """Have a version in the cache."""

    id: int
    volume: Volume
    key: str


class Remove(msgspec.Struct, frozen=True, tag=True):
    """Remove versions that nothing mounts."""

    id: int
    keys: tuple[str, ...]


class Resolve(msgspec.Struct, frozen=True, tag=True):
    """Find out what references mean now, as the driver may read it."""

    id: int
    wanted: tuple[Wanted, ...]


class Mark(msgspec.Struct, frozen=True, tag=True):
    """Make the labels of a node that have a prefix these, and remove a taint by its key, if there is one."""

    id: int
    node: str
    prefix: str
    labels: tuple[str, ...]
    taint: str


Request: TypeAlias = Look | Fetch | Remove | Resolve | Mark


class Found(msgspec.Struct, frozen=True, tag=True):
    """The answer to Look."""

    id: int
    key: str
    digest: str
    files: int
    bytes: int


class Progress(msgspec.Struct, frozen=True, tag=True):
    """How far a download is. More answers follow."""

    id: int
    bytes: int
    total: int


class Done(msgspec.Struct, frozen=True, tag=True):
    """The answer to Fetch, Remove and Mark."""

    id: int
    bytes_from_peers: int = 0


class Resolved(msgspec.Struct, frozen=True, tag=True):
    """The answer to Resolve: the versions, and why some references mean none."""

    id: int
    volumes: tuple[Volume, ...]
    problems: tuple[str, ...]


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The answer to a request that failed. `reason` is one of those of init containers, such as Unauthorized."""

    id: int
    reason: str
    message: str


Answer: TypeAlias = Found | Progress | Done | Resolved | Failed
_requests: Final[msgspec.json.Decoder[Request]] = msgspec.json.Decoder(Request)
_answers: Final[msgspec.json.Decoder[Answer]] = msgspec.json.Decoder(Answer)


def send(connection: socket.socket, answer: Answer) -> None:
    """Send an answer. Callers must not do so at the same time."""
    connection.sendall(encode(answer))


def encode(message: Request | Answer) -> bytes:
    """A message as it is sent."""
    content = msgspec.json.encode(message)
    return _LENGTH.pack(len(content)) + content


def receive(connection: socket.socket) -> Request | None:
    """The next request. None if the driver has ended."""
    head = _exactly(connection, _LENGTH.size)
    if head is None:
        return None
    content = _exactly(connection, _LENGTH.unpack(head)[0])
    return None if content is None else _requests.decode(content)


def _exactly(connection: socket.socket, size: int) -> bytes | None:
    content = b""
    while len(content) < size:
        part = connection.recv(size - len(content))
        if not part:
            return None
        content += part
    return content


async def answer_from(reader: asyncio.StreamReader) -> Answer:
    """The next answer. Raises IncompleteReadError if the worker has ended.

    Raises MsgspecError, RecursionError and ValueError for what is no answer.
    """
    (size,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    if size > _LONGEST:
        raise msgspec.DecodeError(f"an answer of {size} bytes")
    return _answers.decode(await reader.readexactly(size))
