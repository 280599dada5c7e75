"""Why a version cannot be used by a pod, in messages for the pod's author."""

import difflib
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from webhook.catalog.bucket.listing import SourceListing
from webhook.catalog.bucket.status import VersionStatus
from webhook.catalog.bucket.withdrawals import Withdrawal
from webhook.catalog.resolution import (
    Archived,
    Incomplete,
    NoAccess,
    UnknownModel,
    UnknownVersion,
    Unpublished,
    VersionKey,
    Withdrawn,
)
from webhook.catalog.versions import LATEST, VersionRange, Versions
from webhook.errors import shown
from webhook.model.request import ModelRequest

_COMPARED: Final = 200
"""The maximum number of names that a misspelt name is compared with: its neighbours in alphabetical order."""


def preflight_error(
    listing: SourceListing | None, key: VersionKey, status: VersionStatus, tag: str
) -> UnknownModel | None:
    """Why a version cannot be used; None if it can. `listing` provides suggestions; `tag` is the required tag."""
    name = f"{key.model} {key.version}"
    problem: UnknownModel | None = None
    if status.state == "absent":
        problem = unknown_model(listing, key, "")
    elif status.state == "unfinished":
        problem = Unpublished(f"{name} is not published: its upload was started and not finished")
    elif status.state == "denied":
        hint = "allow s3:ListBucket and s3:GetObject"
        problem = NoAccess(f"{name}: S3 denies the webhook access ({status.error}); {hint}")
    elif status.state == "unreadable":
        problem = Incomplete(f"{name} cannot be checked: {status.error}")
    elif not status.is_tagged:
        problem = Unpublished(f"{name} is not published: it has no manifest with the tag {tag}")
    elif status.mismatch:
        problem = Incomplete(f"{name} does not match its manifest: {status.mismatch}")
    elif status.archived:
        problem = Archived(f"{name} cannot be read: {status.archived}; restore them first")
    return problem


def withdrawn(request: ModelRequest, version: str, withdrawal: Withdrawal) -> Withdrawn:
    """The error for a request that means a withdrawn version, with what its author can do."""
    if request.pinned_version == version != request.version:
        remedy = f"the workload is pinned to it: restart its rollout to resolve {shown(request.version)} again"
    elif request.version.startswith("@"):
        remedy = f"ask for another version, or set the alias {request.version} to one"
    else:
        remedy = "ask for another version"
    return Withdrawn(f"{request.model} {version} was {withdrawal}; {remedy}")


def unknown_model(listing: SourceListing | None, key: VersionKey, problem: str) -> UnknownModel:
    """The error for a model or version that the catalog does not have, with the nearest names.

    `problem` says why the listing may be incomplete.
    """
    where = f"source {key.source}" + (f" ({problem})" if problem else "")
    listing = listing or SourceListing()
    versions, without = listing.models.get(key.model), listing.withdrawn_versions(key.model)
    if versions:
        usable = tuple(name for name in versions.names if name not in without)
        near = _nearest(key.version, usable)
        suggestion = f"; nearest are {', '.join(near)}" if near else ""
        newest = f"; newest is {_newest(versions, usable, without)}" if usable else "; all that it has are withdrawn"
        return UnknownVersion(f"{key.model} has no version {key.version} in {where}{suggestion}{newest}")
    near = _nearest(key.model, tuple(listing.models))
    suggestion = f"; did you mean {' or '.join(near)}?" if near else ""
    return UnknownModel(f"model {key.model} {key.version}".rstrip() + f" is not in {where}{suggestion}")


def _newest(versions: Versions, usable: Sequence[str], without: frozenset[str]) -> str:
    """The newest release, or without releases the newest pre-release. `usable` are the versions but `without`."""
    return (*versions.within(VersionRange(LATEST), without), usable[-1])[0]


def _nearest(name: str, known: Sequence[str]) -> list[str]:
    if len(known) > _COMPARED:
        names = sorted(known)
        start = max(0, bisect_left(names, name) - _COMPARED // 2)
        known = names[start : start + _COMPARED]
    return difflib.get_close_matches(name, known, 3)
