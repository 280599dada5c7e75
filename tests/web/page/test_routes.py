"""What the server answers for the page and its files."""

import re
from importlib.resources import files
from urllib.parse import urljoin

import pytest

from tests.support.webhook import Webhook
from webhook.annotations.contract import ANNOTATIONS
from webhook.preview import SERVED
from webhook.preview.access import AUDIENCE, TOKEN_HEADER
from webhook.settings import Settings
from webhook.web.page import HEADERS, assets

FILES = assets(Settings(bucket="my-ml-bucket"))
NEVER = (
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|srcdoc|\beval\(|Function\(|setTimeout\(|"
    r"localStorage|sessionStorage|indexedDB|\bcaches\b|\.cookie|serviceWorker|pushState|replaceState"
)


@pytest.mark.parametrize("name", [name for name in FILES if not name.endswith(".html")])
def test_each_file_is_served_with_every_header(webhook: Webhook, name: str) -> None:
    with webhook.client() as client:
        answer = client.get(f"/{name}")
        assert (answer.status_code, answer.text) == (200, FILES[name])
        assert answer.headers.items() >= {key.lower(): value for key, value in HEADERS.items()}.items()
        assert client.head(f"/{name}").headers["content-length"] == str(len(answer.content))


def test_the_page_is_served_with_every_header(webhook: Webhook) -> None:
    with webhook.client() as client:
        answer = client.get("/")
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers.items() >= {key.lower(): value for key, value in HEADERS.items()}.items()
        assert client.head("/").content == b""
        assert client.post("/").status_code == 405


def test_the_policy_lets_nothing_in_but_files_of_this_server() -> None:
    rules = dict(rule.split(" ", 1) for rule in HEADERS["Content-Security-Policy"].split("; "))
    assert rules.pop("default-src") == "'none'"
    assert rules.pop("require-trusted-types-for") == "'script'"
    assert set(rules.values()) == {"'self'", "'none'"}
    for name in ("script-src", "style-src", "connect-src", "img-src"):
        assert rules.pop(name) == "'self'"
    assert set(rules.values()) == {"'none'"}


@pytest.mark.parametrize(
    "path",
    [
        "/index.html",
        "/docs.html",
        "/static/page.css",
        "/examples",
        "/examples/",
        "/page.py",
        "/../page.py",
        "/examples/../../page.py",
    ],
)
def test_nothing_else_is_served(webhook: Webhook, path: str) -> None:
    with webhook.client() as client:
        assert client.get(client.base_url.copy_with(raw_path=path.encode())).status_code == 404


def test_every_file_is_asked_for_by_the_page_and_there_is_each_that_is() -> None:
    named = set(re.findall(r'(?:href|src|value)="(\./[^"]+)"', FILES["index.html"] + FILES["docs.html"]))
    for name, text in FILES.items():
        if name.endswith(".js"):
            named |= {urljoin(f"./{name}", target) for target in re.findall(r'from "([^"]+)"', text)}
    others = {"openapi.json", "swagger-ui.css", "swagger-ui-bundle.js"}
    assert {name.removeprefix("./") for name in named} - others == FILES.keys() - {"index.html", "docs.html"}


def test_no_file_has_an_absolute_address_or_an_inline_style_or_script() -> None:
    for name, text in FILES.items():
        if name.startswith("examples/"):
            continue
        assert not re.search(r'(?:href|src|action|value|from|fetch\()\s*=?\s*["\'`(](?:/|\w+:)', text), name
        assert set(re.findall(r"https?://[\w./-]+", text)) <= {"http://www.w3.org/2000/svg"}, name
        assert not re.search(
            r"<style|<script(?! (?:type=\"module\"|defer) src=)|\sstyle=|\son\w+=|url\(|@import", text
        ), name


def test_no_module_makes_markup_of_text_or_stores_anything() -> None:
    for name, text in FILES.items():
        if name.endswith(".js"):
            assert not re.findall(NEVER, text), name
            assert len(text.splitlines()) < 250, name


def test_the_page_lists_every_annotation_with_its_help() -> None:
    entries = re.findall(r'<div class="entry" id="annotation-([^"]+)">(.*?)</div>', FILES["index.html"])
    assert [name for name, _ in entries] == [annotation.name for annotation in ANNOTATIONS]
    version = dict(entries)["version"]
    assert '<span class="prefix">model-injector.io/</span><wbr>version' in version
    assert "exact (<code>1.2.3</code>)" in version
    assert "<b>Value</b> a version such as 1.2.3" in version
    assert "<b>Default</b> the setting defaults.version, else refused" in version
    assert "<code>&lt;model&gt;-&lt;version&gt;/</code>" in dict(entries)["mount-path"]


def test_an_installation_with_a_prefix_of_its_own_shows_that_one() -> None:
    found = assets(Settings(bucket="my-ml-bucket", annotation_prefix="models.example.com"))
    assert "model-injector.io" not in "".join(found.values())
    assert 'data-prefix="models.example.com"' in found["index.html"]
    assert "models.example.com/version: 1.2.3" in found["examples/deployment.yaml"]


def test_what_the_page_says_of_the_server_is_what_the_server_does() -> None:
    assert f'data-most-bytes="{SERVED.size}"' in FILES["index.html"]
    assert f"--audience {AUDIENCE}<" in FILES["index.html"]
    assert f'"{TOKEN_HEADER}"' in FILES["request.js"]


def test_there_is_no_file_that_is_not_served() -> None:
    folder = files("webhook.web") / "static"
    assert {item.name for item in folder.iterdir() if item.is_file()} == {name for name in FILES if "/" not in name}
