"""What the page asks the server, and what it says where there is no preview."""

import json
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Route, expect

from tests.web.page.browsing import Visit
from tests.web.page.conftest import Visiting
from tests.web.page.test_previews import DEPLOYMENT
from webhook.preview import SERVED

TOKEN = "a.token.of-somebody"  # noqa: S105 - of nobody


def answer(view: Visit, status: int, error: str, **headers: str) -> None:
    """Have the server answer so, whatever it is asked."""
    body = json.dumps({"error": error}) if error else "<h1>Oh</h1>"
    view.page.route("**/preview?*", lambda route: route.fulfill(status=status, body=body, headers=headers))


@pytest.mark.parametrize(
    ("status", "error", "headers", "told"),
    [
        (400, "not YAML: line 2: oh", {}, "No preview: not YAML: line 2: oh"),
        (403, "bob may not create pods in apps", {}, "No preview: bob may not create pods in apps"),
        (413, "the manifest is larger than 1 bytes", {}, "No preview: the manifest is larger than 1 bytes"),
        (429, "", {"Retry-After": "7"}, "No preview: too many requests; try again in 7 s"),
        (503, "S3 does not answer in time", {}, "No preview: S3 does not answer in time"),
        (502, "", {}, "No preview: the webhook responded with HTTP 502"),
        (200, "no documents", {}, "No preview: the response is not a preview; check whether a proxy replaced it"),
    ],
)
def test_why_there_is_no_preview_is_said(
    visit: Visiting, status: int, error: str, headers: dict[str, str], told: str
) -> None:
    view = visit().open().paste(DEPLOYMENT)
    expect(view.documents).to_have_count(1)
    answer(view, status, error, **headers)
    view.paste(DEPLOYMENT)
    expect(view.status).to_have_text(told)
    expect(view.documents).to_have_count(0)


def test_the_servers_own_words_about_a_broken_manifest_are_shown(visit: Visiting) -> None:
    view = visit().open().paste("kind: [")
    expect(view.status).to_have_text("No preview: invalid YAML: line 2: did not find expected node content")


def test_a_server_that_is_gone_is_told(visit: Visiting) -> None:
    view = visit().open()
    view.page.route("**/preview?*", lambda route: route.abort())
    view.paste(DEPLOYMENT)
    expect(view.status).to_contain_text("No preview: the webhook cannot be reached")
    assert [problem for problem in view.problems if "ERR_FAILED" not in problem] == []
    view.problems.clear()


def test_a_manifest_that_is_too_large_is_told_without_asking(visit: Visiting) -> None:
    view = visit().open()
    asked = list[str]()
    view.page.on("request", lambda request: asked.append(request.method))
    view.paste("# " + "é" * (SERVED.size // 2))
    expect(view.status).to_have_text(
        f"No preview: the manifest has {SERVED.size + 2} bytes; preview a part of at most {SERVED.size} bytes"
    )
    assert "POST" not in asked


def test_an_answer_that_has_been_overtaken_is_not_shown(visit: Visiting) -> None:
    view, given_up = visit().open(), list[str | None]()
    view.page.on("requestfailed", lambda request: given_up.append(request.failure))
    view.page.route("**/preview?*", lambda _: None, times=1)  # never answered
    with view.page.expect_request("**/preview?*"):
        view.paste("kind: [")
    view.paste(DEPLOYMENT)
    expect(view.status).to_have_text("Deployment apps/my-inference-app: injected.")
    assert given_up == ["net::ERR_ABORTED"]


class Guard:
    """Asks for a token in the webhook's stead; what it lets through is the webhook's to answer."""

    def __init__(self, view: Visit, header: str, value: str) -> None:
        self.header, self.value, self.seen = header, value, list[str | None]()
        view.page.route("**/preview?*", self.check)

    def check(self, route: Route) -> None:
        given = route.request.headers.get(self.header.lower())
        self.seen.append(given)
        if given == self.value:
            route.fallback()
        else:
            route.fulfill(status=401, body=json.dumps({"error": "a bearer token is needed"}))


def test_where_a_token_is_needed_it_is_asked_for_and_kept_in_memory_alone(visit: Visiting) -> None:
    view = visit().open()
    guard = Guard(view, "Authorization", f"Bearer {TOKEN}")
    field = view.page.get_by_label("Token", exact=False).and_(view.page.locator("input"))
    expect(field).to_be_hidden()
    view.paste(DEPLOYMENT)
    expect(view.status).to_have_text("No preview: a bearer token is needed")
    expect(field).to_be_focused()
    command = "kubectl create token ACCOUNT --namespace NS --audience model-injector"
    expect(view.page.get_by_text(command)).to_be_visible()

    field.fill("a-wrong-one")
    view.page.keyboard.press("Enter")
    expect(view.status).to_have_text("No preview: a bearer token is needed")
    expect(field).to_be_focused()
    expect(field).to_have_value("")

    field.fill(f"  {TOKEN}\n")
    view.page.keyboard.press("Enter")
    expect(view.status).to_have_text("Deployment apps/my-inference-app: injected.")
    assert guard.seen == [None, "Bearer a-wrong-one", f"Bearer {TOKEN}"]
    assert TOKEN not in view.page.content()
    assert view.evaluate("() => [...document.querySelectorAll('input')].map(input => input.value)").count(TOKEN) == 0

    view.page.get_by_role("button", name="Forget token").click()
    expect(view.status).to_have_text("The token is forgotten.")
    expect(field).to_be_focused()
    view.paste(DEPLOYMENT)
    expect(view.status).to_have_text("No preview: a bearer token is needed")
    assert guard.seen[-1] is None


def test_it_works_under_a_path_and_its_token_then_leaves_the_proxys_header_alone(visit: Visiting) -> None:
    view = visit()
    path = "/api/v1/namespaces/ns/services/https:model-injector:443/proxy"
    view.page.context.route(f"**{path}/**", lambda route: route.fallback(url=route.request.url.replace(path, "")))
    view.open(f"{path}/")
    guard = Guard(view, "X-Model-Injector-Token", TOKEN)
    view.page.get_by_label("Example").select_option("./examples/deployment.yaml")
    expect(view.status).to_have_text("No preview: a bearer token is needed")
    view.page.locator("#token").fill(TOKEN)
    view.page.keyboard.press("Enter")
    expect(view.status).to_have_text("Deployment apps/my-inference-app: injected.")
    assert guard.seen == [None, TOKEN]
    assert urlsplit(view.page.url).path == f"{path}/"
