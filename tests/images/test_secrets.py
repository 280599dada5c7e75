"""No message quotes a login, or an address of a registry that may contain a login or a signature."""

import traceback
from threading import Event

import pytest

from webhook.images.connection import Connection, RegistryError, joined, split


def test_a_message_does_not_quote_a_login() -> None:
    with pytest.raises(RegistryError) as caught:
        split("https://user:s3cret@example.com/?signature=s3cret")
    assert "s3cret" not in str(caught.value)


def test_a_message_does_not_quote_an_invalid_location() -> None:
    with pytest.raises(RegistryError) as caught:
        joined("https://example.com/v2/", "https://[s3cret/?signature=s3cret")
    assert "s3cret" not in str(caught.value)


def test_a_message_does_not_quote_a_login_that_no_header_can_have() -> None:
    headers = {"Authorization": "s3cret\n"}
    with pytest.raises(RegistryError, match="the login has a character") as caught:
        Connection(1, Event(), plain_http=True).send("GET", "http://127.0.0.1:9/v2/", headers)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))
