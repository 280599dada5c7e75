"""A settings file and a manifest for the commands that preview."""

from pathlib import Path

import pytest
import yaml

from tests.preview.test_preview import POD
from tests.support.webhook import SETTINGS

ADMITTED = POD.format(version="1.2.3")


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump(SETTINGS))
    return str(file)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    file = tmp_path / "manifest.yaml"
    file.write_text(ADMITTED)
    return file
