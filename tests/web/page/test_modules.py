"""The page's modules that decide something by themselves, as the browser runs them."""

import pytest

from tests.web.page.conftest import Visiting

P = "model-injector.io"


@pytest.mark.parametrize(
    ("remark", "names", "about"),
    [
        (
            f"annotation {P}/version: 'x' is not allowed; write none beside {P}/volume",
            ["version", "volume"],
            ["version"],
        ),
        (f"annotation {P}/models[0].version: is missing", ["model", "models"], ["models"]),
        (f"unknown annotation {P}/modle; did you mean {P}/model?", ["model", "modle"], ["modle"]),
        (f"{P}/version, {P}/verify: without {P}/model nothing", ["verify", "version", "model"], ["version", "verify"]),
        (f"{P}/model does nothing on a Deployment itself", ["models", "version"], []),
        (f"serviceAccountName is a, the annotation {P}/service-account asks", ["service-account"], ["service-account"]),
        (f"unknown annotation {P}/a.b; did you mean", ["a", "a.b"], ["a.b"]),
        ("model my-model: no such version", ["model"], []),
        (f"3 more unknown annotations under {P}/", ["model"], []),
    ],
)
def test_a_remark_is_about_the_annotations_that_it_names_first(
    visit: Visiting, remark: str, names: list[str], about: list[str]
) -> None:
    found = (
        visit()
        .open()
        .evaluate(
            "async ([remark, names]) => (await import('./remarks.js')).subjects(remark, names)",
            [remark, [f"{P}/{name}" for name in names]],
        )
    )
    assert found == [f"{P}/{name}" for name in about]


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (45_300_002, "43.2 MiB"),
        (200 * 2**30, "200 GiB"),
        (2**40, "1.0 TiB"),
        (2**62, "4096 PiB"),
    ],
)
def test_sizes_are_told_in_a_unit_that_fits(visit: Visiting, size: int, text: str) -> None:
    assert visit().open().evaluate("async size => (await import('./models.js')).human(size)", size) == text


def test_lines_of_a_diff_that_look_like_its_own_signs_are_lines(visit: Visiting) -> None:
    diff = "--- a/x\n+++ b/x\n@@ -3,3 +3,3 @@\n --- \n---- a\n+@@ -1 +1 @@\n+++ b\n@@ -9 +9 @@\n-a\n+b\n"
    hunks = visit().open().evaluate("async diff => (await import('./diff.js')).read(diff)", diff)
    assert hunks == [
        [
            {"sign": " ", "text": "--- ", "before": 3, "after": 3},
            {"sign": "-", "text": "--- a", "before": 4, "after": None},
            {"sign": "+", "text": "@@ -1 +1 @@", "before": None, "after": 4},
            {"sign": "+", "text": "++ b", "before": None, "after": 5},
        ],
        [
            {"sign": "-", "text": "a", "before": 9, "after": None},
            {"sign": "+", "text": "b", "before": None, "after": 9},
        ],
    ]


def test_a_pod_of_any_shape_has_a_picture(visit: Visiting) -> None:
    """A manifest is its author's: what is not a pod is none of the page's faults."""
    shapes: list[object] = [
        None,
        {},
        {"spec": None},
        {"spec": {"containers": None, "initContainers": "x", "volumes": [None, 3, {"name": "a", "x": None}]}},
        {"spec": {"containers": [None, {"name": 1, "volumeMounts": [None, {"name": "gone", "mountPath": "/x" * 99}]}]}},
        {"metadata": {"generateName": "x-"}, "spec": {"containers": [{"name": "n" * 300, "image": "i" * 300}]}},
    ]
    count = (
        visit()
        .open()
        .evaluate(
            """async shapes => {
            const [{ readPod }, { picture }] = await Promise.all([import("./pod.js"), import("./picture.js")]);
            return shapes.map(shape => picture(readPod(shape, []))).length;
        }""",
            shapes,
        )
    )
    assert count == len(shapes)
