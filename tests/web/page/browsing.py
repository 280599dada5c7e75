"""The page in a real Chromium, as these tests use it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Playwright, Request, expect

ROOT = Path(__file__).parents[3]
SCREENSHOTS = ROOT / "build" / "screenshots"
_ARGUMENTS = (
    "--no-sandbox",  # containers run tests as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_NOT_OK = "Failed to load resource: the server responded with a status of"


def launch(playwright: Playwright) -> Browser:
    """Debian's Chromium."""
    program = shutil.which("chromium")
    assert program, "the tests of the page need a Chromium: apt-get install chromium"
    return playwright.chromium.launch(executable_path=program, args=_ARGUMENTS, env={**os.environ, "LANG": "C.UTF-8"})


class Visit:
    """A visit of the page, in a context of its own: nothing of other visits is there."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.problems = list[str]()
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", self._see)

    def _hear(self, message: ConsoleMessage) -> None:
        """Browsers tell of each answer that is no 200: those are what some tests are about."""
        if message.type in ("error", "warning") and not message.text.startswith(_NOT_OK):
            self.problems.append(message.text)

    def _see(self, request: Request) -> None:
        if not request.url.startswith(self.url):
            self.problems.append(f"a request to {request.url}")

    def open(self, path: str = "/") -> "Visit":
        """Load the page."""
        self.page.goto(self.url + path)
        return self

    def paste(self, manifest: str) -> "Visit":
        """Write a manifest, and have it previewed with the keyboard."""
        self.page.get_by_label("Manifest, YAML or JSON").fill(manifest)
        self.page.keyboard.press("Control+Enter")
        return self

    def choose(self, example: str) -> "Visit":
        """Choose an example by its file's name, and wait for its preview."""
        self.page.get_by_label("Example").select_option(f"./examples/{example}.yaml")
        expect(self.documents.first).to_be_visible()
        return self

    @property
    def status(self) -> Locator:
        """What is announced."""
        return self.page.get_by_role("status")

    @property
    def documents(self) -> Locator:
        """The documents' sections, those of a line among them."""
        return self.page.locator("#documents > .card[id], #documents > article")

    def beside(self, annotation: str) -> Locator:
        """The remarks that stand beside an annotation of a document."""
        term = self.page.locator("dl.given dt", has=self.page.get_by_text(annotation, exact=True))
        return term.locator("+ dd").locator(".remark")

    def model(self, name: str) -> Locator:
        """The row of a model."""
        return self.page.locator(".models").get_by_role("row", name=name)

    def evaluate(self, script: str, argument: object = None) -> Any:
        """What a function comes to in the page."""
        return self.page.evaluate(script, argument)

    def save(self, name: str, *, whole: bool = False) -> Path:
        """A screenshot among the run's artefacts."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        self.page.screenshot(path=path, full_page=whole)
        return path


@contextmanager
def visiting(browser: Browser, url: str, **options: Any) -> Iterator[Visit]:
    """A visit, which has to end without a word on the console and without a request to elsewhere."""
    context = browser.new_context(ignore_https_errors=True, **options)
    try:
        visit = Visit(context.new_page(), url)
        yield visit
        assert not visit.problems, visit.problems
    finally:
        context.close()
