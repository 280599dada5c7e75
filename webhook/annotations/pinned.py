"""The annotation `pinned` on a workload's template: which versions its references meant when they were last resolved.

`{"restartedAt": …, "models": [{source, model, asked, version}, …]}`. The time is that of the `kubectl rollout restart`
before which the versions were chosen, so that a later restart chooses anew, and going back to an older template, with
its older time, does not.
"""

from collections.abc import Mapping
from typing import Final, Self

import msgspec

from webhook.fields.parsers import EXACT_VERSION
from webhook.model.request import ModelRequest

PINNED: Final = "pinned"
_RESTARTED: Final = "kubectl.kubernetes.io/restartedAt"


class Pin(msgspec.Struct, frozen=True):
    """One reference, and the exact version that it means."""

    source: str
    model: str
    asked: str
    """Empty where the version asked for is the default, which another setting would change."""
    version: str

    @classmethod
    def of(cls, request: ModelRequest, version: str) -> Self:
        """The pin of a request to a version."""
        return cls(request.source, request.model, "" if request.is_default_version else request.version, version)

    def is_of(self, request: ModelRequest) -> bool:
        """Whether it answers this request."""
        return self == self.of(request, self.version)


class Pins(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What the annotation holds."""

    models: tuple[Pin, ...] = ()
    restarted_at: str | None = None

    def holds_for(self, annotations: Mapping[str, str]) -> bool:
        """Whether a template with these annotations has not been restarted since."""
        return annotations.get(_RESTARTED) in (None, self.restarted_at)

    def version_of(self, request: ModelRequest) -> str | None:
        """The version that a request is pinned to."""
        return next((pin.version for pin in self.models if pin.is_of(request)), None)

    def encode(self) -> str:
        """The annotation's value."""
        return msgspec.json.encode(self).decode()


NONE: Final = Pins()
_decoder: Final = msgspec.json.Decoder(Pins)


def decode(text: str | None) -> Pins:
    """What the annotation tells; nothing, where it is absent or someone else has written it."""
    try:
        pins = _decoder.decode(text) if text else NONE
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return NONE
    return pins if all(EXACT_VERSION.fullmatch(pin.version) for pin in pins.models) else NONE


def restarted_at(annotations: Mapping[str, str]) -> str | None:
    """When `kubectl rollout restart` was last used on a template."""
    return annotations.get(_RESTARTED)


def is_floating(request: ModelRequest) -> bool:
    """Whether the version that is asked for may be another one tomorrow."""
    return not EXACT_VERSION.fullmatch(request.version)
