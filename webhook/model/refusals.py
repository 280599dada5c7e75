"""Why a pod cannot be admitted: the root of all refusals, and those that every part of the pipeline raises."""

from typing import ClassVar

from webhook.errors import InjectorError, shown


class Refusal(InjectorError):
    """The pod cannot be admitted as it is. `reason` is a constant word for metrics and logs."""

    reason: ClassVar[str] = "Refused"


class InvalidAnnotation(Refusal):
    """An annotation has an invalid value.

    `annotation` is its full name, or a place inside of it such as `…/models[0].version`; `allowed` completes the phrase
    "write …". `value` is None where the annotation is missing.
    """

    reason = "InvalidAnnotation"

    def __init__(self, annotation: str, value: str | None, allowed: str) -> None:
        wrong = "is missing" if value is None else f"{shown(value)} is not allowed"
        super().__init__(f"annotation {annotation}: {wrong}; write {allowed}")


class Conflict(Refusal):
    """The pod already uses a name, a path or a field that the injection needs."""

    reason = "Conflict"
