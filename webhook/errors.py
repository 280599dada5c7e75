"""Every error that this package raises on purpose.

    InjectorError
    ├── BadRequest             the body is no AdmissionReview v1 of a pod: HTTP 400
    │   ├── BodyTooLarge       HTTP 413
    │   └── Busy               too many bodies are on their way: HTTP 503
    ├── Refusal                the pod can't be admitted as it is: `allowed: false`, code 422
    │   ├── InvalidAnnotation  an annotation's value can't be
    │   ├── UnknownModel       the catalog can't tell what is asked for
    │   └── Conflict           the pod has something of its own where ours has to stand
    └── InvalidSettings        the process does not start

A message names what is wrong, its value, and what to write instead. It is made for the person who wrote the pod.
"""

from typing import ClassVar

_SHOWN = 120


def shown(value: str) -> str:
    """A user's text as a message may carry it: quoted, control characters escaped, at most 120 characters."""
    return repr(value if len(value) <= _SHOWN else value[: _SHOWN - 1] + "…")


class InjectorError(Exception):
    """The root: whatever stands below is expected, and its text may be shown to a user."""


class BadRequest(InjectorError):
    """The request is not an AdmissionReview v1 of a pod."""

    status: ClassVar[int] = 400


class BodyTooLarge(BadRequest):
    """The request's body is larger than any AdmissionReview can be."""

    status = 413


class Busy(BadRequest):
    """More bodies are on their way than there is memory for."""

    status = 503


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


class Conflict(Refusal):
    """The pod has something of its own where ours has to stand."""

    reason = "Conflict"


class InvalidSettings(InjectorError):
    """A setting is unknown or can't be. The message is one line and names the setting."""
