"""Withdrawing versions, and taking that back."""

from datetime import UTC, datetime

from webhook.catalog.bucket.store import Store
from webhook.catalog.bucket.withdrawals import LARGEST, Withdrawal, key_of, parse_withdrawals
from webhook.catalog.publishing.changing import change
from webhook.catalog.resolution import UnknownVersion


def withdraw(store: Store, model: str, version: str, reason: str) -> Withdrawal:
    """Withdraw a version. Raises CatalogError.

    If it is withdrawn already, the reason is replaced, and the time stays.
    """
    now = datetime.now(UTC).replace(microsecond=0)

    def edit(withdrawals: dict[str, Withdrawal]) -> None:
        known = withdrawals.get(version)
        withdrawals[version] = Withdrawal(reason, known.at if known else now)

    return change(store, key_of(model), LARGEST, parse_withdrawals, edit)[version]


def undo(store: Store, model: str, version: str) -> None:
    """Take a withdrawal back. Raises UnknownVersion if the version is not withdrawn, and CatalogError."""
    existed = False

    def edit(withdrawals: dict[str, Withdrawal]) -> None:
        nonlocal existed
        # If it existed in an earlier attempt, that attempt removed it, and S3's response was lost.
        if withdrawals.pop(version, None) is None and not existed:
            raise UnknownVersion(f"{model} {version} is not withdrawn")
        existed = True

    change(store, key_of(model), LARGEST, parse_withdrawals, edit)
