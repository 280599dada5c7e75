"""Scalars are what kubectl takes them for, and are written so that everyone takes them for the same."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from webhook.errors import BadRequest
from webhook.preview import SERVED, read
from webhook.preview.dump import dump

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
    with pytest.raises(BadRequest, match="line 3: "):
        only(f"data: {text}\n")


@pytest.mark.parametrize("number", ["1" * 5000, "1e999", "-1e999"])
def test_what_json_has_no_number_for_is_text(number: str) -> None:
    body = f'{{"apiVersion": "v1", "kind": "ConfigMap", "data": {number}}}'
    assert read(body.encode(), SERVED)[0].value["data"] == number


@given(st.one_of(st.sampled_from(sorted(KUBECTL)), st.text(max_size=9), st.from_regex(r"[-+0-9.eExob_:nyYN]{1,6}")))
def test_text_is_read_as_text_by_every_reader(text: str) -> None:
    written = dump({"data": text, text: 1})
    assert yaml.safe_load(written) == {"data": text, text: 1}
    assert read(f"{HEAD}{written}".encode(), SERVED)[0].value == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "data": text,
        text: 1,
    }
