"""Anchors, aliases and merge keys: values as kubectl takes them, within bounds, and edits that touch no other user."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.preview.previews import only, previewed
from webhook.preview import SERVED, manifests, read
from webhook.preview.errors import InvalidManifest, ManifestTooLarge

HEAD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"
KUBECTL: list[dict[str, Any]] = json.loads((Path(__file__).parent / "kubectl_aliases.json").read_text())
"""Fields of a ConfigMap as `kubectl label --local --dry-run=client -o json` of 1.37 prints them. None: it refused."""


@pytest.mark.parametrize("case", KUBECTL, ids=lambda case: case["text"])
def test_aliases_and_merge_keys_are_what_kubectl_takes_them_for(case: dict[str, Any]) -> None:
    body = f"{HEAD}{case['text']}".encode()
    if case["value"] is None:
        with pytest.raises(InvalidManifest, match=r"^line \d"):
            read(body, SERVED)
        return
    value = read(body, SERVED)[0].value
    assert {key: value[key] for key in value if key not in ("apiVersion", "kind", "metadata")} == case["value"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: {x: *a}", "line 4: the document has no anchor &a before this alias"),
        ("data: &a {x: *a}", "line 4: the anchor &a contains itself; remove this alias"),
        ("data:\n  <<: 1", "line 5: << takes a mapping or a list of mappings; write one"),
    ],
)
def test_what_kubectl_refuses_is_told_with_its_line(text: str, message: str) -> None:
    with pytest.raises(InvalidManifest, match=f"^{message.replace('*', '[*]')}"):
        read(f"{HEAD}{text}".encode(), SERVED)


def laughs(levels: int, start: str = "lol", references: str = "[{}]") -> bytes:
    lines = [f"l{n}: &l{n} {references.format(', '.join([f'*l{n - 1}'] * 10))}" for n in range(1, levels)]
    return "\n".join([f"{HEAD}l0: &l0 {start}", *lines]).encode()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(laughs(30), id="a billion laughs"),
        pytest.param(laughs(30, "{a: b}", "{{<<: [{}]}}"), id="merged laughs"),
        pytest.param(laughs(5, "x" * 100_000), id="few nodes of long text"),
        pytest.param(f"{HEAD}a: &a {'x' * 500_000}\nb: [{'*a, ' * 2000}*a]".encode(), id="long text many times"),
        pytest.param(f"{HEAD}a: &a [{'x, ' * 1000}]\nb: [{'*a, ' * 60}]".encode(), id="one level"),
    ],
)
def test_sizes_are_counted_after_expansion_and_nothing_is_expanded_before(body: bytes) -> None:
    started = time.process_time()
    with pytest.raises(ManifestTooLarge):
        read(body, SERVED)
    assert time.process_time() - started < 1


def test_depth_is_counted_after_expansion() -> None:
    deep = "".join(f"l{n}: &l{n} [*l{n - 1}]\n" for n in range(1, 80))
    with pytest.raises(InvalidManifest, match="line 68: nested deeper than 64 levels"):
        read(f"{HEAD}l0: &l0 x\n{deep}".encode(), SERVED)


ASKING = "model-injector.io/model: my-model, model-injector.io/version: 1.2.3"
DEPLOYMENT = f"""\
# who owns this: team ml
apiVersion: apps/v1
kind: Deployment
metadata: {{name: anchored, labels: &labels {{app: anchored}}}}
spec:
  selector: {{matchLabels: *labels}}
  template:
    metadata:
      annotations: {{{ASKING}}}
      labels: *labels   # the same
    spec:
      containers:
        - name: app   # first
          image: app:1
          env: &env
            # ours
            - {{name: A, value: "1"}}
"""


def check(text: str) -> list[str]:
    """The removed lines of the diff. The result is read as the patched manifest, and its other comments stay."""
    found = previewed(text)
    after = manifests(text.encode(), found, SERVED)
    assert [document.value for document in read(after.encode(), SERVED)] == [
        document.manifest for document in found.documents
    ]
    assert all(document.patch for document in found.documents)
    return [line for line in found.diff.splitlines() if line.startswith("-") and not line.startswith("---")]


def test_lines_with_anchors_and_aliases_stay_as_they_are() -> None:
    assert check(DEPLOYMENT) == [f"-      annotations: {{{ASKING}}}"]
    assert "+            - name: MODEL_PATH" in only(DEPLOYMENT).diff.splitlines()


def test_a_list_that_all_its_users_add_the_same_to_is_edited_once() -> None:
    text = DEPLOYMENT + "        - name: web\n          image: web:1\n          env: *env\n"
    assert check(text) == [f"-      annotations: {{{ASKING}}}"]
    assert only(text).diff.count("+            - name: MODEL_PATH") == 1


def test_an_alias_whose_anchor_gets_more_than_itself_is_written_out() -> None:
    text = DEPLOYMENT.replace(f"{ASKING}", f"{ASKING}, model-injector.io/containers: app").replace(
        "annotations: {", "annotations:   {"
    )
    text += "        - name: web\n          image: web:1\n          env: *env   # as above\n"
    removed = check(text)
    assert removed[-1] == "-          env: *env   # as above"
    added = [line for line in only(text).diff.splitlines() if line.startswith("+")]
    assert "+          env: # as above" in added
    assert sum("MODEL_PATH" in line for line in added) == 1


def test_an_alias_that_gets_more_than_its_anchor_is_written_out() -> None:
    text = DEPLOYMENT.replace(ASKING, f"{ASKING}, model-injector.io/containers: web")
    text += "        - name: web\n          image: web:1\n          env: *env\n"
    assert check(text)[-1] == "-          env: *env"


MERGED = f"""\
apiVersion: v1
kind: Pod
metadata:
  name: merged
  annotations:
    {ASKING.replace(", ", chr(10) + "    ")}
spec:
  containers:
    - &app
      name: app   # one
      image: app:1
    - <<: *app
      name: web   # two
    - name: third
      <<: [{{image: third:1}}, *app]
"""


def test_what_a_merge_key_adds_stays_and_new_keys_are_lines_after_it() -> None:
    text = MERGED.replace("    - name: third\n      <<: [{image: third:1}, *app]\n", "")
    assert check(text) == []


def test_a_merge_key_after_a_key_overrides_it_as_in_kubectl() -> None:
    found = only(MERGED)
    assert [container["name"] for container in found.manifest["spec"]["containers"]] == ["app", "web", "app"]


def test_a_merged_list_that_gets_more_is_written_out() -> None:
    text = MERGED.replace("      image: app:1\n", "      image: app:1\n      env:\n      - {name: A, value: b}\n")
    text = text.replace("    - name: third\n      <<: [{image: third:1}, *app]\n", "")
    text = text.replace("1.2.3\n", "1.2.3\n    model-injector.io/containers: web\n")
    assert check(text) == []
    found = only(text)
    assert [len(container["env"]) for container in found.manifest["spec"]["containers"]] == [1, 4]


def test_where_an_anchor_would_be_lost_the_whole_is_written_anew() -> None:
    text = (
        "apiVersion: v1\nkind: Pod\n"
        f"metadata: {{name: x, annotations: &a {{{ASKING}}}}}\n"
        "spec: {containers: [{name: app, image: app:1}]}\nother: *a\n"
    )
    assert check(text)
    assert "injected" not in str(only(text).manifest["other"])


def test_utf_16_with_a_byte_order_mark_is_read_as_kubectl_does() -> None:
    text = "apiVersion: v1\nkind: Pod\nmetadata: {name: é}\nspec: {containers: [{name: a}]}\n"
    for body in (text.encode("utf-16"), b"\xfe\xff" + text.encode("utf-16-be")):
        (document,) = read(body, SERVED)
        assert document.name == "é"
    with pytest.raises(InvalidManifest, match="control character"):
        read(text.replace("é", "e").encode("utf-16-le"), SERVED)
    with pytest.raises(InvalidManifest, match="is not UTF-16: byte 4 is invalid"):
        read(text.encode("utf-16")[:5], SERVED)
