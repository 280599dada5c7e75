"""A webhook whose catalog knows the examples' models, and a browser."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.support import constants, moto_s3
from tests.support.polling import until
from tests.support.webhook import Webhook, running_webhook
from tests.web.page.browsing import Visit, launch, visiting

PREFIX = "model-artifacts"
SIZES = {
    "my-model-1.2.3": 45_300_000,
    "my-org/encoder-2.0.0": 12_000_000,
    "my-org/base-4.0.1": 1_500_000,
    "ranker-2026-11-01": 700,
}
Visiting = Callable[..., Visit]


@pytest.fixture(scope="session")
def webhook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    with moto_s3.serve() as url:
        bucket = moto_s3.make_bucket(url, "my-ml-bucket")
        for folder, size in SIZES.items():
            bucket.put(f"{PREFIX}/{folder}/model.safetensors", bytes(size))
            bucket.put(f"{PREFIX}/{folder}/config.json", b"{}")
        bucket.put(f"{PREFIX}/.aliases/my-model.json", json.dumps({"champion": "1.2.3"}).encode())
        settings = {
            "bucket": bucket.name,
            "prefix": PREFIX,
            "endpointUrl": url,
            "region": "us-east-1",
            "catalog": {"mode": "s3"},
            "preview": {"auth": "none"},
        }
        program, place = constants.program(constants.PATIENT), tmp_path_factory.mktemp("webhook")
        with running_webhook(place, settings, env=moto_s3.CREDENTIALS, program=program) as running:
            until(lambda: running.ops("/readyz").status_code == 200)
            yield running


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Not for longer than these tests: Playwright keeps an event loop, and others could start none beside it."""
    expect.set_options(timeout=30_000)  # milliseconds, for a first preview on a busy machine
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser, webhook: Webhook) -> Iterator[Visiting]:
    """Begins a visit, on a screen of 1280 to 900 unless its options say otherwise; they are a browser context's."""
    with ExitStack() as visits:

        def begin(**options: Any) -> Visit:
            given = {"viewport": {"width": 1280, "height": 900}, **options}
            return visits.enter_context(visiting(browser, webhook.url, **given))

        yield begin
