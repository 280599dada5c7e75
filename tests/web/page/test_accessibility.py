"""Accessibility and layout: axe, widths, colours, the keyboard; and screenshots, for people to look at."""

from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import expect

from tests.web.page.browsing import Visit
from tests.web.page.conftest import Visiting
from tests.web.page.test_previews import DEPLOYMENT, EXAMPLES, SERVICE

DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 360, "height": 740},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
SMALL_PHONE: dict[str, Any] = {**PHONE, "viewport": {"width": 320, "height": 640}}
LIGHT: dict[str, Any] = {"color_scheme": "light"}
DARK: dict[str, Any] = {"color_scheme": "dark"}
EVERYTHING = DEPLOYMENT + SERVICE + "---\n" + EXAMPLES["refused"] + "---\n" + EXAMPLES["several-models"]
SCREENS = {
    "light": {**DESKTOP, **LIGHT},
    "dark": {**DESKTOP, **DARK},
    "phone": {**PHONE, **LIGHT},
    "dark-phone": {**PHONE, **DARK},
    "small-phone": {**SMALL_PHONE, **LIGHT},
}


AXE_RUN = """async () => {
    const found = await axe.run({ resultTypes: ["violations"], selectors: false });
    const violations = found.violations.map(({ id, nodes }) => [id, nodes.map(node => node.html)]);
    return [found.passes.length, violations];
}"""
"""How many rules hold, and those that do not, with the elements: all that holds would be megabytes."""


def unfold(view: Visit) -> None:
    for summary in view.page.locator("#documents summary").all():
        summary.click()


def assert_axe_finds_nothing(view: Visit) -> None:
    passes, violations = view.evaluate(AXE_RUN)
    assert passes > 20
    assert violations == []


@pytest.mark.parametrize("screen", ["light", "dark-phone"])
def test_axe_finds_nothing_that_keeps_people_from_using_it(visit: Visiting, screen: str) -> None:
    """The others would add nothing: dark-phone has the colours of `dark`, and the width of `phone`."""
    view = visit(**SCREENS[screen]).open()
    view.page.evaluate(AXE_SCRIPT)
    assert_axe_finds_nothing(view)

    view.paste("kind: [")
    expect(view.status).to_contain_text("No preview")
    assert_axe_finds_nothing(view)

    view.paste(EVERYTHING)
    expect(view.documents).to_have_count(4)
    unfold(view)
    assert_axe_finds_nothing(view)
    for choice in view.page.get_by_label("Side by side").all():
        choice.check()
    assert_axe_finds_nothing(view)

    view.page.route("**/preview?*", lambda route: route.fulfill(status=401, body='{"error": "the token is not valid"}'))
    view.paste(DEPLOYMENT)
    expect(view.page.locator("#token")).to_be_focused()
    assert_axe_finds_nothing(view)


@pytest.mark.parametrize("screen", ["phone", "small-phone"])
def test_a_phone_shows_it_all_without_scrolling_sideways(visit: Visiting, screen: str) -> None:
    view = visit(**SCREENS[screen]).open().paste(EVERYTHING)
    expect(view.documents).to_have_count(4)
    unfold(view)
    width = SCREENS[screen]["viewport"]["width"]
    assert view.evaluate("() => document.documentElement.scrollWidth") == width
    outside = """width => [...document.querySelectorAll("body *")].filter(
        element => element.getBoundingClientRect().right > width && !element.closest(".scrolling, pre")
    ).map(element => element.outerHTML.slice(0, 99))"""
    assert view.evaluate(outside, width) == []


def test_on_a_phone_what_is_touched_is_large_enough(visit: Visiting) -> None:
    view = visit(**SCREENS["phone"]).open().paste(EVERYTHING)
    expect(view.documents).to_have_count(4)
    touched = "button, select, summary, .button, .switch label, nav a, #namespace, #token"
    small = """names => [...document.querySelectorAll(names)]
        .filter(element => element.checkVisibility() && element.getBoundingClientRect().height < 44)
        .map(element => element.outerHTML)"""
    assert view.evaluate(small, touched) == []


def test_on_a_phone_the_result_comes_into_view(visit: Visiting) -> None:
    view = visit(**SCREENS["phone"]).open()
    view.page.get_by_label("Manifest, YAML or JSON").fill(DEPLOYMENT)
    view.page.get_by_role("button", name="Preview").click()
    expect(view.status).to_be_in_viewport()


def test_dark_and_light_are_two_sets_of_colours(visit: Visiting) -> None:
    colours = """() => ["html", ".card", "textarea", ".badge", ".diff .added", ".pod .body"].map(name => {
        const { color, backgroundColor, fill } = getComputedStyle(document.querySelector(name));
        return [color, backgroundColor, fill];
    })"""
    light, dark = (
        visit(**SCREENS[screen]).open().choose("deployment").evaluate(colours) for screen in ("light", "dark")
    )
    for one, other in zip(light, dark, strict=True):
        assert one != other


def test_everything_can_be_done_with_the_keyboard(visit: Visiting) -> None:
    view = visit().open()
    keys = view.page.keyboard
    keys.press("Tab")
    expect(view.page.get_by_role("link", name="Skip to the result")).to_be_in_viewport()
    for name in ("example", "file", "manifest"):
        keys.press("Tab")
        assert view.evaluate("() => document.activeElement.id") == name
    keys.insert_text(DEPLOYMENT)
    keys.press("Tab")
    assert view.evaluate("() => document.activeElement.id") == "namespace", "the text field keeps the Tab key"
    keys.press("Enter")
    expect(view.status).to_have_text("Deployment apps/my-inference-app: injected.")
    view.page.get_by_label("Unified").focus()
    keys.press("ArrowRight")
    expect(view.page.locator(".diff.split")).to_be_visible()
    keys.press("Tab")
    expect(view.page.get_by_role("group", name="Changes of Deployment")).to_be_focused()
    outline = view.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    keys.press("Tab")
    keys.press("Enter")
    expect(view.page.get_by_role("group", name="JSON Patch")).to_be_visible()


def test_forced_colours_leave_the_picture_and_the_choice_visible(visit: Visiting) -> None:
    view = visit(forced_colors="active").open().choose("deployment")
    fill, text = (
        view.evaluate(f"() => getComputedStyle(document.querySelector('.pod {name}')).fill")
        for name in (".body", ".name")
    )
    assert fill != text


@pytest.mark.parametrize(
    ("name", "screen", "example", "height"),
    [
        ("light", "light", "several-models", 1300),
        ("dark", "dark", "several-models", 1300),
        ("phone", "phone", "deployment", 740),
        ("refusal", "light", "refused", 800),
        ("readme", "light", "deployment", 1240),
    ],
)
def test_screenshots_are_kept(visit: Visiting, name: str, screen: str, example: str, height: int) -> None:
    """README's picture, docs/preview.png, is a copy of build/screenshots/readme.png."""
    size = {"width": SCREENS[screen]["viewport"]["width"], "height": height}
    view = visit(**{**SCREENS[screen], "viewport": size}).open().choose(example)
    path = view.save(name, whole=name == "phone")
    assert name != "readme" or path.stat().st_size < 200_000
