"""Scalars are what kubectl takes them for, and are written so that everyone takes them for the same."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from webhook.preview import SERVED, read
from webhook.preview.dump import dump
from webhook.preview.errors import InvalidManifest

HEAD = "apiVersion: v1\nkind: ConfigMap\n"
KUBECTL: dict[str, Any] = json.loads((Path(__file__).parent / "kubectl_scalars.json").read_text())
"""Plain scalars, as `kubectl create --dry-run=client --validate=false -o json` of 1.37 has printed them."""


def only(text: str) -> Any:
    (document,) = read(f"{HEAD}{text}".encode(), SERVED)
    return document.value["data"]


@pytest.mark.parametrize("text", KUBECTL)
def test_a_plain_scalar_is_what_kubectl_takes_it_for(text: str) -> None:
    found, expected = only(f"data: {text}\n"), KUBECTL[text]
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", 1.8446744073709552e19),
        ("-9223372036854775808", -(2**63)),
        ("0x" + "f" * 5000, "0x" + "f" * 5000),
        ("1" * 5000, "1" * 5000),
        ("1e999", "1e999"),
        ("1" * 309, float("1" * 309)),
    ],
)
def test_a_number_has_an_end(text: str, value: object) -> None:
    assert only(f"data: {text}\n") == value


@pytest.mark.parametrize("text", [".inf", "-.Inf", ".NaN", "!!binary aGk=", "!!int x", "!!float x", "!!bool maybe"])
def test_what_json_has_not_is_told_with_its_line(text: str) -> None:
    with pytest.raises(InvalidManifest, match="line 3: "):
        only(f"data: {text}\n")


@pytest.mark.parametrize("number", ["1" * 5000, "1e999", "-1e999"])
def test_what_json_has_no_number_for_is_text(number: str) -> None:
    body = f'{{"apiVersion": "v1", "kind": "ConfigMap", "data": {number}}}'
    assert read(body.encode(), SERVED)[0].value["data"] == number


texts = st.one_of(
    st.sampled_from(sorted(KUBECTL)),
    st.text(max_size=9),
    st.text("ab \n\t#:-'\"|>{}[]&*!%@`\u2028\x85", max_size=12),
    st.from_regex(r"[-+0-9.eExob_:nyYN]{1,6}"),
)
values = st.recursive(
    st.one_of(texts, st.integers(-(2**63), 2**64 - 1), st.booleans(), st.none(), st.floats(allow_nan=False, width=16)),
    lambda children: st.one_of(st.lists(children, max_size=3), st.dictionaries(texts, children, max_size=3)),
    max_leaves=8,
)


@given(values, st.booleans())
def test_what_is_written_is_read_as_the_same_by_every_reader(value: Any, indented: bool) -> None:
    assume("inf" not in str(value))
    written = dump({"data": value}, indented=indented)
    assert yaml.safe_load(written) == {"data": value}
    assert only(written) == value


def test_a_key_that_is_too_long_for_a_line_is_written_as_one_all_the_same() -> None:
    value = {"k" * 1500: {"a": [1, "b\nc\n"]}, "l" * 1500: 1}
    written = dump({"data": value})
    assert yaml.safe_load(written) == {"data": value}
    assert only(written) == value
