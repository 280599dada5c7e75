"""Why a pod cannot be admitted: the base class of all refusals, and those that several modules raise."""

from typing import ClassVar

from webhook.errors import InjectorError, shown


class Refusal(InjectorError):
    """The pod cannot be admitted as it is. `reason` identifies the class in metrics and logs."""

    reason: ClassVar[str] = "Refused"


class InvalidAnnotation(Refusal):
    """An annotation has an invalid value.

    `annotation` is the full name, or a path inside the value such as `…/models[0].version`. `allowed` completes the
    phrase "write …". `value` is None if the annotation is missing. `problem` says why the value is not allowed.
    """

    reason = "InvalidAnnotation"

    def __init__(self, annotation: str, value: str | None, allowed: str, problem: str = "is not allowed") -> None:
        found = "is missing" if value is None else f"{shown(value)} {problem}"
        super().__init__(f"annotation {annotation}: {found}; write {allowed}")


class Conflict(Refusal):
    """The pod already uses a name, a path or a field that the injection needs."""

    reason = "Conflict"
