"""Which versions a reference means."""

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.catalog.versions import MAX_CANDIDATES, Alias, ExactVersion, VersionRange, Versions, order, parse_reference
from webhook.fields.parsers import EXACT_VERSION

RELEASES = ["0.9.0", "1.0.0", "1.2.0", "1.2.3", "1.10.0", "2.0.0-rc.1", "2.0.0", "2.1.0-beta.2", "3.0.0-rc.1"]


def best(reference: str, versions: list[str]) -> str | None:
    parsed = parse_reference(reference)
    assert isinstance(parsed, VersionRange)
    return next(iter(Versions(versions).within(parsed)), None)


@pytest.mark.parametrize(
    ("reference", "version"),
    [
        ("latest", "2.0.0"),
        ("*", "2.0.0"),
        ("^1.2", "1.10.0"),
        ("~1.2", "1.2.3"),
        ("~1.2.0", "1.2.3"),
        (">=1.2,<2", "1.10.0"),
        (">= 1.2 , < 1.10", "1.2.3"),
        (">=1.2 <2", "1.10.0"),
        ("^1.2, <1.10", "1.2.3"),
        ("=1.2.0", "1.2.0"),
        ("<1", "0.9.0"),
        ("^0.9", "0.9.0"),
        (">=2.1", None),
        (">=2.1.0-beta.1", "2.1.0-beta.2"),
        ("^3.0.0-rc.0", "3.0.0-rc.1"),
        (">2", None),
    ],
)
def test_a_range_means_its_newest_release(reference: str, version: str | None) -> None:
    assert best(reference, RELEASES) == version


@pytest.mark.parametrize(
    ("reference", "version"),
    [("latest", "2026-05-01"), ("<2026-05-01", "2026-04-30"), ("^2025", "2025-12-31"), ("~2026-04-01", "2026-04-30")],
)
def test_dates_are_versions(reference: str, version: str) -> None:
    assert best(reference, ["2025-12-31", "2026-04-09", "2026-05-01", "2026-04-30"]) == version


@pytest.mark.parametrize(("reference", "version"), [("latest", "12"), ("<12", "9"), ("^7", "7")])
def test_plain_integers_are_versions(reference: str, version: str) -> None:
    assert best(reference, ["7", "9", "12"]) == version


def test_what_has_no_order_is_in_no_range() -> None:
    assert list(Versions(["blue", "1.2.3.4", "1.0", "v2", "1.0.0"]).newest()) == ["v2", "1.0.0", "1.0"]


@pytest.mark.parametrize("text", ["1.2.3", "v1", "7", "2026-05-01", "blue", "1.2.3-rc.1+build.5"])
def test_what_says_which_one_is_exact(text: str) -> None:
    assert parse_reference(text) == ExactVersion(text)


def test_an_alias_begins_with_an_at() -> None:
    assert parse_reference("@champion") == Alias("champion")


@pytest.mark.parametrize(
    "text", ["", "@", "@a/b", "@-x", "^", "^x.y", ">=", "1.2 ||", "!=1", "~blue", ">=1.2.3.4", "<>1"]
)
def test_what_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as|alias"):
        parse_reference(text)


@given(st.tuples(*[st.integers(0, 10**9 - 1)] * 3), st.tuples(*[st.integers(0, 10**9 - 1)] * 3))
def test_releases_are_in_the_order_of_their_numbers(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    names = [".".join(map(str, numbers)) for numbers in (one, other)]
    assert next(Versions(names).newest()) == ".".join(map(str, max(one, other)))


@given(st.text("0123456789.-+abxv^~<>=, *@|!", max_size=140))
def test_any_text_has_an_order_or_none_and_is_a_reference_or_none(text: str) -> None:
    assert isinstance(order(text), tuple | None)
    with contextlib.suppress(ValueError):
        assert isinstance(parse_reference(text), ExactVersion | Alias | VersionRange)


@pytest.mark.parametrize("text", ["latest", "Latest", "LATEST", "@latest"])
def test_latest_is_a_word_in_any_case(text: str) -> None:
    assert best(text, RELEASES) == "2.0.0"


@pytest.mark.parametrize("text", ["||", "|| 1", "1 ||", "1 || || 2", "1 | 2", "1 || blue"])
def test_each_side_of_a_range_is_a_range(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as \^1.2"):
        parse_reference(text)


@pytest.mark.parametrize("text", ["1.x", "1.2.x", "v1.X", "1.x.x"])
def test_a_number_that_may_be_any_makes_a_range(text: str) -> None:
    assert isinstance(parse_reference(text), VersionRange)


NPM = json.loads((Path(__file__).parent / "npm_ranges.json").read_text())
"""What npm's own implementation (semver 7, satisfies) takes of some versions for many ranges, the newest first."""


@pytest.mark.parametrize("text", NPM["ranges"])
def test_a_range_means_what_it_means_to_npm(text: str) -> None:
    reference = parse_reference(f"={text}" if EXACT_VERSION.fullmatch(text) else text)
    assert isinstance(reference, VersionRange)
    assert list(Versions(NPM["versions"]).within(reference)) == NPM["ranges"][text][:MAX_CANDIDATES]


@pytest.mark.parametrize(
    "text", ["1.0.0 - v1.2.3", "1.2 - x1", "1.2.3 - ^2", "1.0.0 -  2.0.0", "- 1", "1 -", "^^1", "=>1", "1..2", "1.2.3-"]
)
def test_odd_ranges_are_ranges_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(parse_reference(text), VersionRange | ExactVersion)
