"""/docs: Swagger UI from this server alone, within a Content-Security-Policy, under any path prefix."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.support.webhook import Webhook
from tests.web.page.browsing import visiting
from tests.web.page.conftest import Visiting
from webhook.web.page import HEADERS


@contextmanager
def local_page(*arguments: str | Path) -> Iterator[str]:
    """The address of `preview --web`."""
    command = [sys.executable, "-m", "webhook", "preview", "--web", *arguments]
    environment = {**os.environ, "BROWSER": "true", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().split()[0].removesuffix("/")
        finally:
            process.kill()


def try_out(browser: Browser, url: str) -> None:
    """Preview the example of the page, at an address without its last slash."""
    with visiting(browser, url, viewport={"width": 1280, "height": 900}) as visit:
        page = visit.open("/docs").page
        page.locator(".opblock-summary-control").click()
        page.get_by_role("button", name="Try it out").click()
        with page.expect_response(re.compile(r"/preview\?namespace=default$")) as response:
            page.get_by_role("button", name="Execute").click()
        assert response.value.url == f"{url}/preview?namespace=default"
        assert response.value.json()["documents"][0]["decision"] == "injected"
        expect(page.locator(".live-responses-table .response-col_status").last).to_contain_text("200")


def test_a_preview_can_be_tried_out(browser: Browser, webhook: Webhook) -> None:
    try_out(browser, webhook.url)


def test_so_it_can_on_this_machine_with_settings_of_its_own(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("bucket: my-ml-bucket\n")
    with local_page("--config", tmp_path / "settings.yaml") as url:
        try_out(browser, url)


def test_so_it_can_relayed_from_a_webhook_elsewhere(browser: Browser, webhook: Webhook) -> None:
    with local_page("--server", webhook.url, "--ca", webhook.folder / "ca.crt") as url:
        try_out(browser, url)


def test_it_shows_each_status_and_each_schema(visit: Visiting) -> None:
    page = visit().open("/docs").page
    page.locator(".opblock-summary-control").click()
    for text in ("400", "401", "403", "406", "413", "429", "500", "503"):
        expect(page.locator(f'.responses-table tr[data-code="{text}"]')).to_be_visible()
    expect(page.locator(".models")).to_contain_text("DocumentPreview")


def test_its_policy_has_scripts_of_this_server_alone(webhook: Webhook) -> None:
    with webhook.client() as client:
        answer = client.get("/docs")
    rules = dict(rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; "))
    assert rules["script-src"] == rules["connect-src"] == "'self'"
    assert rules["default-src"] == "'none'"
    others = HEADERS.keys() - {"Content-Security-Policy"}
    assert {name: answer.headers[name] for name in others} == {name: HEADERS[name] for name in others}


@pytest.mark.parametrize("name", ["swagger-ui.css", "swagger-ui-bundle.js"])
def test_the_files_of_swagger_ui_are_served_with_every_header(webhook: Webhook, name: str) -> None:
    with webhook.client() as client:
        answer = client.get(f"/{name}")
        assert answer.headers.items() >= {key.lower(): value for key, value in HEADERS.items()}.items()
        assert client.head(f"/{name}").headers["content-length"] == str(len(answer.content))
