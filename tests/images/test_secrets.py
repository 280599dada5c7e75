"""Addresses that a registry names may contain logins and signatures, which no message quotes."""

import pytest

from webhook.images.connection import RegistryError, joined, split


def test_a_message_does_not_quote_a_login() -> None:
    with pytest.raises(RegistryError) as caught:
        split("https://user:s3cret@example.com/?signature=s3cret")
    assert "s3cret" not in str(caught.value)


def test_a_message_does_not_quote_an_invalid_location() -> None:
    with pytest.raises(RegistryError) as caught:
        joined("https://example.com/v2/", "https://[s3cret/?signature=s3cret")
    assert "s3cret" not in str(caught.value)
