"""The documentation as a site: complete, with links that lead somewhere, and readable in a browser."""

import json
import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from documentation.site import build, copy_pages, navigation_problem
from tests.docs.site import broken, read, read_all
from tests.web.page.browsing import launch

ROOT = Path(__file__).parents[2]
PHONE = {"width": 375, "height": 812}
DIAGRAMS = ("index", "concepts")
"""The pages with diagrams."""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def url(site: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, url: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page in a context of these options. Fails if a page asks another host, or if one of its scripts fails."""
    options = {"base_url": url, **getattr(request, "param", {})}
    with browser.new_context(**options) as context:
        page, problems, asked = context.new_page(), list[str](), list[str]()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: problems.append(str(error)))
        yield page
        assert not problems
        assert not [each for each in asked if not each.startswith((url, "data:", "blob:"))]


def test_every_page_of_the_documentation_is_in_the_site(site: Path) -> None:
    built = {path.relative_to(site).with_suffix("").as_posix() for path in read_all(site)}
    pages = {path.relative_to(ROOT / "docs").with_suffix("").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert pages <= built
    assert "changes" in built


def test_a_link_leads_to_a_file_and_to_an_anchor_that_exist(site: Path) -> None:
    assert not broken(site, read_all(site))


@pytest.mark.parametrize("folder", ["README.md", "charts", "examples", "webhook"])
def test_a_page_or_a_heading_that_is_named_outside_of_the_site_exists(folder: str, site: Path) -> None:
    files = [path for path in (ROOT / folder, *(ROOT / folder).rglob("*")) if path.is_file()]
    found = set[tuple[str, str]]()
    for path in files:
        if path.suffix in {".md", ".py", ".sh", ".toml", ".tpl", ".txt", ".yaml"}:
            found |= set(re.findall(r"(?<![\w/.-])docs/([a-z/0-9-]+)\.md(?:#([\w-]+))?", path.read_text()))
    assert found
    for page, anchor in found:
        assert anchor in {"", *read(site / f"{page}.html").anchors}, f"docs/{page}.md#{anchor}"


def test_no_block_of_code_is_shown_as_text(site: Path) -> None:
    """GitHub and the site differ about blocks in lists: both take four spaces before them."""
    assert not [path.name for path in read_all(site) if "<p>```" in path.read_text() or "<code>```" in path.read_text()]


def test_no_code_has_the_backslash_that_github_wants_in_a_table(site: Path) -> None:
    """`&#124;` in <code> is a bar for both."""
    assert not [(path.name, text) for path, page in read_all(site).items() for text in page.code if "\\|" in text]


def test_a_link_that_leads_nowhere_would_be_found(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(
        '<a href="gone.html"></a><a href="#gone"></a><a href="."></a><a href="#here" id="here"></a><img src="gone.png">'
    )
    assert len(broken(tmp_path, {page: read(page)})) == 4


def test_a_page_that_the_navigation_lacks_ends_the_build_with_what_to_do(tmp_path: Path) -> None:
    copy_pages(ROOT, tmp_path / "pages")
    (tmp_path / "zensical.toml").write_text((ROOT / "docs" / "zensical.toml").read_text())
    assert navigation_problem(tmp_path) == ""
    (tmp_path / "pages" / "new.md").write_text("# New")
    assert navigation_problem(tmp_path) == "the navigation lacks new.md: add each to `nav` in docs/zensical.toml"
    (tmp_path / "pages" / "new.md").rename(tmp_path / "pages" / "install.md")
    (tmp_path / "pages" / "iam.md").unlink()
    assert "has iam.md, which docs/ lacks" in navigation_problem(tmp_path)


@pytest.mark.parametrize("line", ["[gone](gone.md)", "[gone](install.md#gone)"])
def test_a_broken_link_ends_the_build(line: str, tmp_path: Path) -> None:
    (tmp_path / "docs" / "theme").mkdir(parents=True)
    (tmp_path / "docs" / "zensical.toml").write_text(
        '[project]\nsite_name = "x"\ndocs_dir = "pages"\nnav = ["index.md", "install.md"]'
    )
    (tmp_path / "docs" / "index.md").write_text(f"# Start\n\n{line}\n")
    (tmp_path / "docs" / "install.md").write_text("# Install\n")
    with pytest.raises(SystemExit, match="does not exist"):
        build(tmp_path, tmp_path / "build")


def test_a_file_of_the_repository_is_copied_for_the_pages_that_link_to_it(site: Path) -> None:
    assert "../files/examples/deployment.yaml" in read(site / "strategies" / "s3-init.html").links
    example = ROOT / "examples" / "deployment.yaml"
    assert (site / "files" / "examples" / "deployment.yaml").read_text() == example.read_text()


def test_the_search_has_every_page(site: Path) -> None:
    items = json.loads((site / "search.json").read_text())["items"]
    found = {item["location"].partition("#")[0] for item in items}
    assert {path.relative_to(site).as_posix() for path in read_all(site)} <= found


def test_a_reader_finds_a_setting_by_search(page: Page) -> None:
    page.goto("/index.html")
    page.get_by_role("button", name="Search").click()  # a script adds the button, and the shortcut's listener with it
    page.get_by_role("combobox", name="Search").fill("catalog.preflight")
    results = page.get_by_role("option").filter(has_text="Reference").filter(has_text="Settings")
    expect(results.first).to_be_visible(timeout=20_000)


@pytest.mark.parametrize("page", [{"color_scheme": "dark"}], indirect=True)
def test_the_site_is_dark_for_a_reader_of_dark_pages_and_light_on_request(page: Page) -> None:
    page.goto("/index.html")
    assert _brightness(page) < 60
    page.get_by_title("Switch to light mode").click()
    page.get_by_title("Switch to dark mode").wait_for()
    assert _brightness(page) > 200


@pytest.mark.parametrize("page", [{"viewport": PHONE, "is_mobile": True, "java_script_enabled": False}], indirect=True)
def test_no_page_is_wider_than_a_phone(page: Page, site: Path) -> None:
    """Scripts draw only the diagrams, and running them on each page takes most of the time."""
    for path in read_all(site):
        page.goto(f"/{path.relative_to(site)}")
        assert_fits_a_phone(page)


def test_the_pages_with_diagrams_are_known() -> None:
    assert {path.stem for path in (ROOT / "docs").rglob("*.md") if "```mermaid" in path.read_text()} == {*DIAGRAMS}


@pytest.mark.parametrize("page", [{"viewport": PHONE, "is_mobile": True}], indirect=True)
@pytest.mark.parametrize("name", DIAGRAMS)
def test_each_diagram_is_drawn_and_fits_a_phone(page: Page, name: str) -> None:
    expected = (ROOT / "docs" / f"{name}.md").read_text().count("```mermaid")
    page.goto(f"/{name}.html")
    diagrams = page.locator("div.mermaid")
    expect(diagrams).to_have_count(expected)
    for diagram in diagrams.all():
        box = diagram.bounding_box()
        assert box
        assert box["height"] > 50
    assert_fits_a_phone(page)


def assert_fits_a_phone(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], page.url


def _brightness(page: Page) -> float:
    color = page.evaluate("getComputedStyle(document.body).backgroundColor")
    red, green, blue = (int(part) for part in color[color.index("(") + 1 : -1].split(",")[:3])
    return (red + green + blue) / 3
