"""The annotation `pinned` on a workload's template: the version, and the strategy, that each of its references means.

`{"restartedAt": …, "models": [{source, model, asked, version}, …]}`. The time is that of the `kubectl rollout restart`
before which the versions were chosen: a later restart chooses anew, and a return to an older template, with its older
time, does not. Where several strategies are asked for, an entry also has `strategies` and the chosen `strategy`.
"""

from collections.abc import Mapping
from typing import Final, Self

import msgspec

from webhook.fields.parsers import EXACT_VERSION
from webhook.model.request import ModelRequest

PINNED: Final = "pinned"
_RESTARTED: Final = "kubectl.kubernetes.io/restartedAt"


class Pin(msgspec.Struct, frozen=True, omit_defaults=True):
    """One reference, the exact version that it means, and the strategy that was chosen for it."""

    source: str
    model: str
    asked: str
    """Empty where the version asked for is the default, which another setting would change."""
    version: str
    strategies: tuple[str, ...] = ()
    """Those asked for, where they are several and not the default."""
    strategy: str = ""
    """Empty where only one is asked for."""

    @classmethod
    def of(cls, request: ModelRequest, version: str, strategy: str = "") -> Self:
        """The pin of a request to a version, and to one of the strategies that it asks for."""
        has_choice = len(request.strategies) > 1
        return cls(
            request.source,
            request.model,
            "" if request.is_default_version else request.version,
            version,
            request.strategies if has_choice and not request.is_default_strategy else (),
            strategy if has_choice else "",
        )

    def is_of(self, request: ModelRequest) -> bool:
        """Whether it answers this request, whatever strategies are asked for."""
        own = self.of(request, self.version)
        is_same = (self.source, self.model, self.asked) == (own.source, own.model, own.asked)
        return is_same and (is_floating(request) or self.version == request.version)

    def strategy_for(self, request: ModelRequest) -> str | None:
        """The strategy that was chosen for this request. None where it asks for one, or for others than before."""
        is_same = self.strategies == self.of(request, self.version).strategies
        return (
            self.strategy if is_same and len(request.strategies) > 1 and self.strategy in request.strategies else None
        )


class Pins(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What the annotation holds."""

    models: tuple[Pin, ...] = ()
    restarted_at: str | None = None

    def holds_for(self, annotations: Mapping[str, str]) -> bool:
        """Whether a template with these annotations has not been restarted since."""
        return annotations.get(_RESTARTED) in (None, self.restarted_at)

    def pin_of(self, request: ModelRequest) -> Pin | None:
        """The pin that answers a request."""
        return next((pin for pin in self.models if pin.is_of(request)), None)

    def encode(self) -> str:
        """The annotation's value."""
        return msgspec.json.encode(self).decode()


NONE: Final = Pins()
_decoder: Final = msgspec.json.Decoder(Pins)


def decode(text: str | None) -> Pins:
    """The pins in the annotation. None, where it is absent or its value is not one that this program writes."""
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


def needs_pin(request: ModelRequest) -> bool:
    """Whether two pods with this request could get different versions, or the same one by different strategies."""
    return is_floating(request) or len(request.strategies) > 1
