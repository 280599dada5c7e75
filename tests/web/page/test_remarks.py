"""Where refusals and warnings stand: beside the annotation that they speak of."""

import re

import pytest
from playwright.sync_api import expect

from tests.web.page.conftest import Visiting
from tests.web.page.test_previews import DEPLOYMENT


def test_a_refusal_stands_beside_the_annotation_that_it_is_about(visit: Visiting) -> None:
    view = visit().open().choose("refused")
    expect(view.beside("model-injector.io/version")).to_have_text(
        re.compile("^Refused annotation model-injector.io/version: .* is not allowed; write a version such as 1.2.3")
    )
    expect(view.page.locator(".remark")).to_have_count(2)
    expect(view.page.get_by_role("img")).to_have_count(0)


@pytest.mark.parametrize(
    ("model", "version", "beside", "kind"),
    [
        ("nobody-has-it", "^1", "model", "Refused"),
        ("my-model", '"@nobody"', "version", "Refused"),
        ("my-model", "9.9.9", "version", "Warning"),
    ],
)
def test_what_the_catalog_says_stands_beside_what_was_asked_for(
    visit: Visiting, model: str, version: str, beside: str, kind: str
) -> None:
    view = visit().open().paste(DEPLOYMENT.replace(": my-model", f": {model}").replace(": 1.2.3", f": {version}"))
    expect(view.beside(f"model-injector.io/{beside}")).to_have_text(re.compile(f"^{kind} .*{model}"))
    expect(view.page.locator("article .remark")).to_have_count(1)


def test_an_unknown_annotation_has_its_warning_beside_it(visit: Visiting) -> None:
    view = visit().open().paste(DEPLOYMENT.replace("mount-path", "mont-path"))
    expect(view.beside("model-injector.io/mont-path")).to_have_text(
        "Warning unknown annotation model-injector.io/mont-path; did you mean model-injector.io/mount-path?"
    )


def test_a_warning_of_no_annotation_stands_before_them(visit: Visiting) -> None:
    view = visit().open().paste(f"{DEPLOYMENT}      os: {{name: windows}}\n")
    expect(view.page.locator("article > .remark")).to_contain_text("Windows pods")


def test_annotations_in_the_wrong_place_are_shown_there_with_where_they_belong(visit: Visiting) -> None:
    view = visit().open().choose("misplaced")
    expect(view.page.get_by_role("heading", name="Annotations on the object itself")).to_be_visible()
    expect(view.beside("model-injector.io/model")).to_contain_text("write it to spec.template.metadata.annotations")
