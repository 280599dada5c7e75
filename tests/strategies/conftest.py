"""A copy of the project with the strategies of this folder, added as a contributor would: a file, and a line."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.webhook import SETTINGS, Webhook, running_webhook

ROOT = Path(__file__).parents[2]
STUBS = ("stub_claim", "stub_image")
JSON = dict[str, Any]
READY = {"strategies": {"stub-claim": {"ready": ["my-model-1.2.3"]}}}


@dataclass(frozen=True)
class Checkout:
    """The copy."""

    root: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which Python imports the copy."""
        return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (self.root, self.root / "scripts")))}

    def run(self, *command: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a program with the copy."""
        return subprocess.run(
            [*command], cwd=self.root, env=self.environment, input=stdin, capture_output=True, text=True, check=False
        )

    def preview(self, manifest: JSON, settings: JSON | None = None) -> JSON:
        """The preview of a manifest of one document, by the command."""
        config = self.root / "settings.yaml"
        config.write_text(yaml.safe_dump({**SETTINGS, **(settings or {})}))
        command: list[str | Path] = [sys.executable, "-m", "webhook", "preview", "--config", config]
        done = self.run(*command, "-f", "-", "-o", "json", stdin=json.dumps(manifest))
        assert done.returncode in (0, 1), done.stderr
        (document,) = json.loads(done.stdout)["documents"]
        assert isinstance(document, dict)
        return document

    def chart(self) -> Path:
        """The chart."""
        return self.root / "charts" / "model-injector"


def touched(checkout: Checkout) -> set[str]:
    """The files in which the copy differs from the project."""
    listed = (path for path in checkout.root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    originals = ((path, ROOT / path.relative_to(checkout.root)) for path in listed if path.name != "settings.yaml")
    return {
        path.relative_to(checkout.root).as_posix()
        for path, original in originals
        if not original.exists() or original.read_bytes() != path.read_bytes()
    }


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    root = tmp_path_factory.mktemp("checkout")
    for folder in ("webhook", "certs", "scripts", "charts", "docs"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    for stub in STUBS:
        shutil.copy(Path(__file__).with_name(f"{stub}.py"), root / "webhook" / "strategies")
    registry = root / "webhook" / "strategies" / "__init__.py"
    text, changed = re.subn(
        r"(_MODULES: Final = \([^)]*?),?\)", rf"\1, {', '.join(map(repr, STUBS))})", registry.read_text()
    )
    assert changed == 1
    registry.write_text(text)
    copy = Checkout(root)
    printed = copy.run(sys.executable, "scripts/reference.py", root)
    assert printed.returncode == 0, printed.stderr
    return copy


@pytest.fixture(scope="session")
def webhook_of_the_copy(checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    folder = tmp_path_factory.mktemp("webhook")
    program = (sys.executable, "-P", "-m", "webhook")  # -P: not the project's own folder, in which tests run
    with running_webhook(folder, {**SETTINGS, **READY}, env=checkout.environment, program=program) as running:
        yield running
