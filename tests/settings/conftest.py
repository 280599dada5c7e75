"""Settings from the text of a file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from webhook.settings import Settings
from webhook.settings.loading import load

Load = Callable[[str], Settings]


@pytest.fixture
def loaded(tmp_path: Path) -> Load:
    def from_text(text: str) -> Settings:
        file = tmp_path / "settings.yaml"
        file.write_text(text)
        return load(file)

    return from_text
