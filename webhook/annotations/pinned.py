"""The annotation `pinned` of a workload's template: the versions and strategies that its references were resolved to.

`{"restartedAt": …, "models": [{source, model, asked, version}, …]}`. `restartedAt` is the template's value when it was
pinned: a later `kubectl rollout restart` resolves the references again, a rollback to an older template does not. If
several strategies are asked for, an entry also has `strategies` and the chosen `strategy`.
"""

from collections.abc import Mapping
from typing import Final, Self, TypeAlias

import msgspec

from webhook.fields.parsers import EXACT_VERSION
from webhook.model.request import ModelRequest

PINNED: Final = "pinned"
_RESTARTED: Final = "kubectl.kubernetes.io/restartedAt"
Reference: TypeAlias = tuple[str, str, str]
"""What a pin is of: the source, the model, and the version as it was asked for."""


class Pin(msgspec.Struct, frozen=True, omit_defaults=True):
    """A reference, with the version and the strategy that it was resolved to."""

    source: str
    model: str
    asked: str
    """The version as it was asked for. Empty for the default, so that pins outlive a change of that setting."""
    version: str
    strategies: tuple[str, ...] = ()
    """The strategies that were asked for. Empty for a single one, and for the default."""
    strategy: str = ""
    """The chosen strategy. Empty if only one was asked for."""

    @classmethod
    def of(cls, request: ModelRequest, version: str, strategy: str = "") -> Self:
        """The pin of a request to a version, and to one of its strategies."""
        has_choice = len(request.strategies) > 1
        return cls(
            request.source,
            request.model,
            "" if request.is_default_version else request.version,
            version,
            request.strategies if has_choice and not request.is_default_strategy else (),
            strategy if has_choice else "",
        )

    @property
    def reference(self) -> Reference:
        """What this is a pin of."""
        return self.source, self.model, self.asked

    def is_of(self, request: ModelRequest) -> bool:
        """Whether this is the pin of `request`, whatever strategies that asks for."""
        return self.reference == reference_of(request) and (is_floating(request) or self.version == request.version)

    def strategy_for(self, request: ModelRequest) -> str | None:
        """The pinned strategy. None if the request has a single strategy, or other ones than when it was pinned."""
        is_same = self.strategies == self.of(request, self.version).strategies
        return (
            self.strategy if is_same and len(request.strategies) > 1 and self.strategy in request.strategies else None
        )


class Pins(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The value of the annotation."""

    models: tuple[Pin, ...] = ()
    restarted_at: str | None = None

    def holds_for(self, annotations: Mapping[str, str]) -> bool:
        """Whether a template with these annotations has not been restarted since it was pinned."""
        return annotations.get(_RESTARTED) in (None, self.restarted_at)

    def pin_of(self, request: ModelRequest) -> Pin | None:
        """The pin of a request; None if it has none."""
        return next((pin for pin in self.models if pin.is_of(request)), None)

    def encode(self) -> str:
        """The annotation's value (JSON)."""
        return msgspec.json.encode(self).decode()


NONE: Final = Pins()
_decoder: Final = msgspec.json.Decoder(Pins)


def decode(text: str | None) -> Pins:
    """The pins in the annotation's value. Empty if the annotation is absent or invalid."""
    try:
        pins = _decoder.decode(text) if text else NONE
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return NONE
    return pins if all(EXACT_VERSION.fullmatch(pin.version) for pin in pins.models) else NONE


def restarted_at(annotations: Mapping[str, str]) -> str | None:
    """The time of a template's last `kubectl rollout restart`, as it wrote it."""
    return annotations.get(_RESTARTED)


def reference_of(request: ModelRequest) -> Reference:
    """What a pin of this request would be of."""
    return Pin.of(request, request.version).reference


def is_floating(request: ModelRequest) -> bool:
    """Whether the requested version is a reference whose meaning can change: an alias, a range or `latest`."""
    return not EXACT_VERSION.fullmatch(request.version)


def needs_pin(request: ModelRequest) -> bool:
    """Whether two pods with this request could get different versions or strategies."""
    return is_floating(request) or len(request.strategies) > 1
