"""Pins: which request one answers, with which version and by which strategy."""

from msgspec.structs import replace

from webhook.annotations.parsing import parse
from webhook.annotations.pinned import Pin, Pins, decode
from webhook.model.request import ModelRequest
from webhook.settings import Settings

SETTINGS = Settings(bucket="my-ml-bucket")


def request(version: str, *strategies: str, is_default: bool = False) -> ModelRequest:
    (parsed,) = parse({"model-injector.io/model": "my-model", "model-injector.io/version": version}, SETTINGS).models
    return replace(parsed, strategies=strategies, is_default_strategy=is_default)


def test_a_pin_of_one_strategy_says_nothing_of_it() -> None:
    pin = Pin.of(request("@champion", "a"), "1.2.3", "a")
    assert Pins((pin,)).encode() == (
        '{"models":[{"source":"default","model":"my-model","asked":"@champion","version":"1.2.3"}]}'
    )


def test_a_pin_of_several_strategies_holds_the_choice() -> None:
    asked = request("@champion", "a", "b")
    pin = Pin.of(asked, "1.2.3", "b")
    assert decode(Pins((pin,)).encode()).pin_of(asked) == pin
    assert pin.strategy_for(asked) == "b"


def test_the_version_stays_while_other_strategies_are_asked_for() -> None:
    pin = Pin.of(request("@champion", "a", "b"), "1.2.3", "b")
    for other in (request("@champion", "b"), request("@champion", "b", "a"), request("@champion", "a", "c")):
        assert pin.is_of(other)
        assert pin.strategy_for(other) is None


def test_a_choice_among_the_defaults_stays_while_the_defaults_have_it() -> None:
    pin = Pin.of(request("@champion", "a", "b", is_default=True), "1.2.3", "b")
    assert pin.strategy_for(request("@champion", "c", "b", is_default=True)) == "b"
    assert pin.strategy_for(request("@champion", "c", "a", is_default=True)) is None


def test_a_pin_of_an_exact_version_to_another_one_is_forged() -> None:
    asked = request("1.2.3", "a", "b")
    assert Pin.of(asked, "1.2.3", "a").is_of(asked)
    assert not Pin.of(asked, "9.9.9", "a").is_of(asked)
