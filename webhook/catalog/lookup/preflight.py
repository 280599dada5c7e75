"""What is wrong with a version, as the person is told who asked for it."""

import difflib
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from webhook.catalog.bucket.listing import SourceListing
from webhook.catalog.bucket.status import VersionStatus
from webhook.catalog.resolution import (
    Archived,
    Incomplete,
    NoAccess,
    UnknownModel,
    UnknownVersion,
    Unpublished,
    VersionKey,
)
from webhook.catalog.versions import LATEST, VersionRange, Versions

_COMPARED: Final = 200
"""Names at most that one is compared with: of thousands, its neighbours in the alphabet."""


def fault(names: SourceListing | None, place: VersionKey, detail: VersionStatus, tag: str) -> UnknownModel | None:
    """Why a version is not fit for a pod; None where it is."""
    name = f"{place.model} {place.version}"
    problem: UnknownModel | None = None
    if detail.state == "absent":
        problem = unknown(names, place, "")
    elif detail.state == "unfinished":
        problem = Unpublished(f"{name} is not published: its upload was begun and not finished")
    elif detail.state == "denied":
        problem = NoAccess(f"{name}: the webhook may not read it ({detail.why}); allow s3:ListBucket and s3:GetObject")
    elif detail.state == "unreadable":
        problem = Incomplete(f"{name} can't be checked: {detail.why}")
    elif not detail.is_tagged:
        problem = Unpublished(f"{name} is not published: it has no manifest with the tag {tag}")
    elif detail.wrong:
        problem = Incomplete(f"{name} is not what was published: {detail.wrong}")
    elif detail.archived:
        problem = Archived(f"{name} can't be read: {detail.archived}; restore them first")
    return problem


def unknown(names: SourceListing | None, place: VersionKey, problem: str) -> UnknownModel:
    """The catalog does not have it: with the nearest that it has."""
    where = f"source {place.source}" + (f" ({problem})" if problem else "")
    versions = (names or SourceListing()).models.get(place.model)
    if versions:
        near = _nearest(place.version, versions.names)
        told = f"; nearest are {', '.join(near)}" if near else ""
        return UnknownVersion(
            f"{place.model} has no version {place.version} in {where}{told}; newest is {_newest(versions)}"
        )
    near = _nearest(place.model, tuple((names or SourceListing()).models))
    told = f"; did you mean {' or '.join(near)}?" if near else ""
    return UnknownModel(f"model {place.model} {place.version}".rstrip() + f" is not in {where}{told}")


def _newest(versions: Versions) -> str:
    """The newest release; where there is none, the newest pre-release."""
    return (*versions.within(VersionRange(LATEST)), versions.names[-1])[0]


def _nearest(name: str, known: Sequence[str]) -> list[str]:
    if len(known) > _COMPARED:
        names = sorted(known)
        start = max(0, bisect_left(names, name) - _COMPARED // 2)
        known = names[start : start + _COMPARED]
    return difflib.get_close_matches(name, known, 3)
