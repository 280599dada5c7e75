"""Every error that this package raises on purpose.

    InjectorError
    ├── BadRequest             the body is no AdmissionReview v1 of a pod, or no manifest: HTTP 400
    │   ├── NotAuthenticated   a preview for nobody: HTTP 401
    │   ├── NotAllowed         a preview for someone else: HTTP 403
    │   ├── NotAcceptable      a format that there is not: HTTP 406
    │   ├── BodyTooLarge       HTTP 413
    │   ├── TooMany            too many requests of one client: HTTP 429
    │   └── Busy               too many bodies are on their way: HTTP 503
    │       └── Unavailable    someone who has to be asked does not answer
    ├── Refusal                the pod can't be admitted as it is: `allowed: false`, code 422
    │   ├── InvalidAnnotation  an annotation's value can't be
    │   ├── UnknownModel       the catalog can't tell what is asked for
    │   │   ├── UnknownVersion     no such version, or none that it can tell
    │   │   ├── Unpublished        the upload was not finished, or the required tag is missing
    │   │   ├── Incomplete         files of its manifest are gone
    │   │   ├── Archived           files have to be restored from Glacier first
    │   │   └── NoAccess           the webhook itself may not read it
    │   ├── Forbidden          a rule keeps the namespace from it
    │   └── Conflict           the pod has something of its own where ours has to stand
    ├── InvalidSettings        the process does not start
    ├── InvalidInput           a command is given what it can't work with: exit status 2
    ├── CatalogError           S3 has something else than a command or the catalog needs: exit status 1
    │   ├── NotFound           404
    │   ├── Denied             403, or no credentials
    │   ├── Exists             the version is published already
    │   ├── Changed            someone else has written in between: 409 or 412
    │   └── Away               no answer, or one that passes: 5xx, throttled
    └── AssociationError       EKS does not associate a role with a service account: exit status 1

A message names what is wrong, its value, and what to write instead. It is made for the person who wrote the pod.
"""

import re
from typing import ClassVar, Final

_SHOWN: Final = 120
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def shown(value: str) -> str:
    """A user's text as a message may carry it: quoted, control characters escaped, at most 120 characters."""
    return repr(value if len(value) <= _SHOWN else value[: _SHOWN - 1] + "…")


def one_line(text: str) -> str:
    """A text that holds a user's, without what would end a line of a log or steer a terminal."""
    return _CONTROL.sub("?", text)


class InjectorError(Exception):
    """The root: whatever stands below is expected, and its text may be shown to a user."""


class BadRequest(InjectorError):
    """The request can't be answered as it is: its body is not what it has to be, for instance."""

    status: ClassVar[int] = 400


class NotAuthenticated(BadRequest):
    """Nobody knows who has sent the request."""

    status = 401


class NotAllowed(BadRequest):
    """Who has sent the request may not have its answer."""

    status = 403


class NotAcceptable(BadRequest):
    """The client takes none of the formats that there are."""

    status = 406


class BodyTooLarge(BadRequest):
    """The request's body is larger than is read, or makes more work than is done."""

    status = 413


class TooMany(BadRequest):
    """The client asks more often than it may. `seconds` from now it may ask again."""

    status = 429

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many requests; try again in {seconds} s")
        self.seconds = seconds


class Busy(BadRequest):
    """More is on its way than there is memory or time for."""

    status = 503


class Unavailable(Busy):
    """Someone who has to be asked does not answer."""


class Refusal(InjectorError):
    """The pod can't be admitted. `reason` is a constant word for metrics and logs."""

    reason: ClassVar[str] = "Refused"


class InvalidAnnotation(Refusal):
    """An annotation's value can't be.

    `annotation` is its full name, or a place inside of it such as `…/models[0].version`; `allowed` says what may stand
    there, as a phrase. No `value`: the annotation is missing.
    """

    reason = "InvalidAnnotation"

    def __init__(self, annotation: str, value: str | None, allowed: str) -> None:
        wrong = "is missing" if value is None else f"{shown(value)} is not allowed"
        super().__init__(f"annotation {annotation}: {wrong}; write {allowed}")


class UnknownModel(Refusal):
    """The catalog can't say which files are meant."""

    reason = "UnknownModel"


class UnknownVersion(UnknownModel):
    """The catalog has the model, and no such version."""

    reason = "UnknownVersion"


class Unpublished(UnknownModel):
    """There is something, and it does not count as published."""

    reason = "Unpublished"


class Incomplete(UnknownModel):
    """What S3 has is not what the manifest says."""

    reason = "Incomplete"


class Archived(UnknownModel):
    """Objects are in a storage class that can't be read at once."""

    reason = "Archived"


class NoAccess(UnknownModel):
    """S3 denies the webhook a look."""

    reason = "NoAccess"


class Forbidden(Refusal):
    """A rule of the settings forbids it."""

    reason = "Forbidden"


class Conflict(Refusal):
    """The pod has something of its own where ours has to stand."""

    reason = "Conflict"


class InvalidSettings(InjectorError):
    """A setting is unknown or can't be. The message is one line and names the setting."""


class InvalidInput(InjectorError):
    """What a command was given can't be. The message says what to give instead."""


class CatalogError(InjectorError):
    """S3 does not have, or does not do, what is needed."""


class AlreadyPublished(CatalogError):
    """The version is published already, and versions never change."""


class NotFound(CatalogError):
    """No such bucket or object."""


class Denied(CatalogError):
    """The credentials do not allow it, or there are none."""


class PreconditionFailed(CatalogError):
    """Someone else has written what a conditional write was to replace."""


class Unreachable(CatalogError):
    """S3 gave no answer, or one that will be another soon."""


class AssociationError(InjectorError):
    """EKS does not give a service account the role that it is to have."""
