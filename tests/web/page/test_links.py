"""Links that carry a manifest."""

import base64
import zlib

import pytest
from playwright.sync_api import expect

from tests.web.page.conftest import Visiting
from tests.web.page.test_previews import DEPLOYMENT
from webhook.preview import SERVED


def packed(body: bytes) -> str:
    """A body as a fragment carries it."""
    compressor = zlib.compressobj(wbits=-15)
    data = compressor.compress(body) + compressor.flush()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def test_a_link_shows_the_same_in_another_browser(visit: Visiting) -> None:
    ours = visit().open()
    ours.evaluate("() => { navigator.clipboard.writeText = async text => { window.copied = text; }; }")
    manifest = DEPLOYMENT.replace("  namespace: apps\n", "  labels: {name: häßlich 🙂}\n")
    ours.page.get_by_label("Namespace").fill("theirs")
    ours.paste(manifest)
    expect(ours.status).to_have_text("Deployment theirs/my-inference-app: injected.")
    ours.page.get_by_role("button", name="Copy link").click()
    expect(ours.status).to_have_text("The link is copied. It contains the manifest, but no token.")
    link = ours.evaluate("() => window.copied")
    assert link.startswith(f"{ours.url}/#m=")

    theirs = visit().open(link.removeprefix(ours.url))
    expect(theirs.status).to_have_text("Deployment theirs/my-inference-app: injected.")
    expect(theirs.page.get_by_label("Manifest, YAML or JSON")).to_have_value(manifest)
    expect(theirs.page.get_by_label("Namespace")).to_have_value("theirs")


def test_a_link_that_is_followed_on_the_page_is_opened(visit: Visiting) -> None:
    view = visit().open().choose("refused")
    view.evaluate("fragment => { location.hash = fragment; }", f"m={packed(DEPLOYMENT.encode())}")
    expect(view.status).to_have_text("Deployment apps/my-inference-app: injected.")
    view.page.get_by_role("link", name="model-injector.io/version").click()
    expect(view.page.locator("#annotation-version")).to_be_in_viewport()
    expect(view.page.get_by_label("Manifest, YAML or JSON")).to_have_value(DEPLOYMENT)


def test_where_the_clipboard_is_closed_the_link_stands_in_a_field(visit: Visiting) -> None:
    view = visit().open().choose("deployment")
    view.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')); }")
    view.page.get_by_role("button", name="Copy link").click()
    field = view.page.get_by_label("The link; copy it from here")
    expect(field).to_be_focused()
    assert field.input_value().startswith(f"{view.url}/#m=")


@pytest.mark.parametrize(
    ("fragment", "told"),
    [
        (
            f"m={packed(bytes(64 * 1024 * 1024))}",
            f"No preview: the link's manifest is larger than {SERVED.size} bytes.",
        ),
        (f"m={packed(DEPLOYMENT.encode())[:40]}", "No preview: the link is broken: it is truncated"),
        ("m=%%%", "No preview: the link is broken: it is truncated"),
        (f"m={packed(b'kind: ' + bytes([255]))}", "No preview: the link is broken: its manifest is not UTF-8."),
    ],
)
def test_a_broken_link_and_one_that_would_fill_the_memory_are_told(visit: Visiting, fragment: str, told: str) -> None:
    view = visit().open(f"/#{fragment}")
    expect(view.status).to_contain_text(told)
    expect(view.page.get_by_label("Manifest, YAML or JSON")).to_have_value("")


def test_another_fragment_is_no_link(visit: Visiting) -> None:
    view = visit().open("/#annotations")
    expect(view.status).to_have_text("Paste a manifest, drop a file, or choose an example.")
