"""A model's withdrawn versions, which no pod gets any more: one JSON object for each model."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Final

import msgspec

from webhook.catalog.bucket.errors import CatalogError
from webhook.catalog.bucket.folders import WITHDRAWN
from webhook.catalog.bucket.store import Store
from webhook.fields.parsers import EXACT_VERSION

LARGEST: Final = 1024 * 1024
"""The maximum size of a model's withdrawals in bytes."""
LONGEST_REASON: Final = 300


class Withdrawal(msgspec.Struct, frozen=True, gc=False):
    """Why a version was withdrawn, and when."""

    reason: str
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    """In UTC."""

    def __str__(self) -> str:
        return f"withdrawn at {self.at:%Y-%m-%d %H:%M:%SZ}: {self.reason}"


class Withdrawals(msgspec.Struct, frozen=True, dict=True):
    """The withdrawn versions of one model, and the object's ETag, by which a later listing recognizes them as
    unchanged."""

    etag: str
    versions: Mapping[str, Withdrawal]

    @cached_property
    def names(self) -> frozenset[str]:
        """The versions. Always the same object, whose hash is computed once."""
        return frozenset(self.versions)


def is_reason(text: str) -> bool:
    """Whether a text can be the reason of a withdrawal: one line of printable characters, not too long."""
    return 0 < len(text.strip()) <= len(text) <= LONGEST_REASON and text.isprintable()


def parse_withdrawals(content: bytes) -> dict[str, Withdrawal]:
    """Parse the object with a model's withdrawals. Raises CatalogError."""
    try:
        decoded = msgspec.json.decode(content, type=dict[str, Withdrawal])
        withdrawals = {version: Withdrawal(each.reason, each.at.astimezone(UTC)) for version, each in decoded.items()}
    except (msgspec.MsgspecError, RecursionError, ValueError, OverflowError) as error:
        raise CatalogError(f"withdrawals are a JSON object of versions, reasons and times: {error}") from error
    for version, withdrawal in withdrawals.items():
        if not EXACT_VERSION.fullmatch(version) or not is_reason(withdrawal.reason):
            raise CatalogError(f"the withdrawal of version {version!r} is invalid; exact versions have a short reason")
    return withdrawals


def key_of(model: str) -> str:
    """The key of the object with a model's withdrawals."""
    return f"{WITHDRAWN}/{model}.json"


def read_withdrawals(store: Store, key: str) -> Withdrawals:
    """Read an object with a model's withdrawals. Raises CatalogError."""
    content = store.read(key, LARGEST)
    return Withdrawals(content.etag, parse_withdrawals(content.body))


def withdrawal_of(store: Store, model: str, version: str) -> Withdrawal | None:
    """The withdrawal of a version, read from the bucket. None if the version is not withdrawn. Raises CatalogError."""
    key = key_of(model)
    return read_withdrawals(store, key).versions.get(version) if store.exists(key) else None
