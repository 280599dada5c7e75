"""A copy of the project with the strategies of this folder, added as a contributor would: a file, and a line."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.webhook import SETTINGS, Webhook, running_webhook

ROOT = Path(__file__).parents[2]
STUBS = ("stub_claim", "stub_image")
JSON = dict[str, Any]
READY = {"strategies": {"stub-claim": {"ready": ["my-model-1.2.3"]}}}


@dataclass(frozen=True)
class Checkout:
    """The copy, and its webhooks that run, by their settings."""

    root: Path
    stack: ExitStack
    running: dict[str, Webhook] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which Python imports the copy."""
        return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (self.root, self.root / "scripts")))}

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a program with the copy."""
        return subprocess.run(
            [*command], cwd=self.root, env=self.environment, capture_output=True, text=True, check=False
        )

    def webhook(self, settings: JSON) -> Webhook:
        """A webhook with these settings, which is started once."""
        key = json.dumps(settings)
        if key not in self.running:
            folder = self.root.with_name(f"{self.root.name}-{len(self.running)}")
            folder.mkdir()
            program = (sys.executable, "-P", "-m", "webhook")  # -P: not the project's own folder, in which tests run
            context = running_webhook(
                folder, {**SETTINGS, "preview": {"auth": "none"}, **settings}, env=self.environment, program=program
            )
            self.running[key] = self.stack.enter_context(context)
        return self.running[key]

    def preview(self, manifest: JSON, settings: JSON | None = None) -> JSON:
        """The preview of a manifest of one document."""
        with self.webhook(settings or {}).client() as client:
            answer = client.post("/preview", json=manifest)
        assert answer.status_code == 200, answer.text
        (document,) = answer.json()["documents"]
        assert isinstance(document, dict)
        return document

    def chart(self) -> Path:
        """The chart."""
        return self.root / "charts" / "model-injector"


def touched(checkout: Checkout) -> set[str]:
    """The files in which the copy differs from the project."""
    listed = (path for path in checkout.root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    originals = ((path, ROOT / path.relative_to(checkout.root)) for path in listed)
    return {
        path.relative_to(checkout.root).as_posix()
        for path, original in originals
        if not original.exists() or original.read_bytes() != path.read_bytes()
    }


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    root = tmp_path_factory.mktemp("checkout")
    for folder in ("webhook", "certs", "scripts", "charts", "docs"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    for stub in STUBS:
        shutil.copy(Path(__file__).with_name(f"{stub}.py"), root / "webhook" / "strategies")
    registry = root / "webhook" / "strategies" / "__init__.py"
    text, changed = re.subn(
        r"(_MODULES: Final = \([^)]*)\)", rf"\1{', '.join(map(repr, STUBS))})", registry.read_text()
    )
    assert changed == 1
    registry.write_text(text)
    with ExitStack() as stack:
        copy = Checkout(root, stack)
        printed = copy.run(sys.executable, "-m", "documentation", root)
        assert printed.returncode == 0, printed.stderr
        yield copy
