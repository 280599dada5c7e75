"""From a manifest's text to its documents, within bounds."""

import time

import pytest

from webhook.preview import SERVED, read
from webhook.preview.errors import InvalidManifest, ManifestTooLarge

POD = "apiVersion: v1\nkind: Pod\n"


def values(text: str) -> dict[str, object]:
    (document,) = read((POD + text).encode(), SERVED)
    return {key: value for key, value in document.value.items() if key not in ("apiVersion", "kind")}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-11-01", "2026-11-01"),
        ("22:22", "22:22"),
        ("1:30.5", "1:30.5"),
        ("0644", 420),
        ("0x1f", 31),
        ("1_000", 1000),
        ("yes", True),
        ("Off", False),
        ("~", None),
        ("", None),
        ("1.10", 1.1),
        ('"1.10"', "1.10"),
        ("!!str 1.10", "1.10"),
        ("=", "="),
        ("|\n  a\n  b", "a\nb\n"),
    ],
)
def test_a_scalar_is_what_kubectl_takes_it_for(text: str, value: object) -> None:
    assert values(f"a: {text}\n") == {"a": value}


def test_a_key_is_text_whatever_it_looks_like() -> None:
    assert values("1: a\nyes: b\n1.50: c\n2026-11-01: d\n0x1F: e\n'no': f\n") == {
        "1": "a",
        "true": "b",
        "1.5": "c",
        "2026-11-01": "d",
        "31": "e",
        "no": "f",
    }


def test_documents_that_are_empty_count_for_nothing() -> None:
    assert [document.source for document in read(f"---\n# nothing\n---\n{POD}---\n---\n{POD}".encode(), SERVED)] == [
        1,
        3,
    ]


def test_a_list_is_its_items_and_a_review_its_object() -> None:
    body = (
        '{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Pod"}, {"apiVersion": "apps/v1",'
        ' "kind": "DeploymentList", "items": [{"apiVersion": "apps/v1", "kind": "Deployment"}]}, {"kind":'
        ' "AdmissionReview", "request": {"namespace": "x", "object": {"apiVersion": "v1", "kind": "Pod"}}}]}'
    )
    found = read(body.encode(), SERVED)
    assert [(each.kind, each.path) for each in found] == [
        ("Pod", "/items/0"),
        ("Deployment", "/items/1/items/0"),
        ("Pod", "/items/2/request/object"),
    ]
    assert [each.namespace("y") for each in found] == ["y", "y", "x"]


def test_json_texts_stand_one_after_the_other_as_kubectl_takes_them() -> None:
    pod = '{"apiVersion": "v1", "kind": "Pod"}'
    assert [each.source for each in read(f"{pod}\n{pod} {pod}\n".encode(), SERVED)] == [0, 1, 2]


def test_a_kind_of_ones_own_may_have_another_list_of_that_name() -> None:
    (found,) = read(b'{"apiVersion": "a/v1", "kind": "AddressList", "items": ["192.0.2.1"]}', SERVED)
    assert found.kind == "AddressList"


BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "the manifest is empty"),
        (b"# only a comment\n", "the manifest is empty"),
        (b"[1]", "document 1 is not an object"),
        (b"just text", "document 1 is not an object"),
        (b"kind: Pod", "document 1: apiVersion or kind is missing"),
        (f"{POD}---\nkind: 1\napiVersion: v1".encode(), "document 2: apiVersion or kind is missing"),
        (BOMB.encode(), "document 1: apiVersion or kind is missing"),
        (b"a:\n\tb: 1", "invalid YAML: line 2: found .*; indent with spaces"),
        (b"a: @champion", "invalid YAML: line 1: found .*; quote the value"),
        (b"a: {{ .Values.a }}", "line 1: a key is not text; write text; fill in the template first"),
        (b"a: b: c", "invalid YAML: line 1: mapping values are not allowed"),
        (b"a: [", "invalid YAML: line 2"),
        (b"\xff\xff\x00\x01", "the manifest is not UTF-8: byte 0 is invalid"),
        (b"\x7fELF\x00", "line 1 contains the control character '.x7f'; remove it"),
        ("a: 1".encode("utf-16-le"), "line 1 contains the control character '.x00'; save the manifest as UTF-8"),
        (rb'{"a": "\ud800"}', "line 1: found invalid Unicode character"),
        (b"a: 1\na: 2", "line 2: the key 'a' is a duplicate"),
        (b"? [a]\n: b", "line 1: a key is not text"),
        (b"a: !!binary aGk=", "line 1: JSON cannot represent binary 'aGk='"),
        (
            b"a: !!python/object/apply:os.system [id]",
            "line 1: JSON cannot represent tag:yaml.org,2002:python/object/apply:os.system",
        ),
        (b"a: .inf", "line 1: JSON cannot represent float '.inf'"),
        (b"a: !!set {b}", "line 1: JSON cannot represent tag:yaml.org,2002:set"),
        (b"[" * 100_000, "line 1: nested deeper than 64 levels"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "nested deeper than 64 levels"),
        (b"kind: AdmissionReview\nrequest: {}", "document 1: the AdmissionReview has no request.object"),
        (b'{"kind": "List", "items": [1]}', r"document 1: items\[0\] is not an object"),
        (b'{"kind": "List", "items": [{"a": 1}]}', "document 1 items 0: apiVersion or kind is missing"),
    ],
)
def test_what_is_no_manifest_is_told_so(body: bytes, complaint: str) -> None:
    with pytest.raises(InvalidManifest, match=complaint):
        read(body, SERVED)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(f"{POD}---\n".encode() * 1000, id="1,000 documents"),
        pytest.param(
            b'{"kind": "List", "items": [' + b'{"apiVersion": "v1", "kind": "Pod"},' * 600 + b"]}", id="items"
        ),
        pytest.param(f"{POD}x: [{'1,' * 60_000}]".encode(), id="nodes"),
        pytest.param(b'{"a": [' + b"1," * 60_000 + b"1]}", id="nodes of JSON"),
        pytest.param(POD.encode() + b"#" * SERVED.size, id="bytes"),
    ],
)
def test_what_is_too_much_is_told_so(body: bytes) -> None:
    with pytest.raises(ManifestTooLarge):
        read(body, SERVED)


def test_nothing_is_built_of_what_must_not_be() -> None:
    """A billion laughs would take gigabytes; here they take no more time than what is allowed."""
    laughs = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 30))
    started = time.process_time()
    with pytest.raises(ManifestTooLarge, match="more than 50000 nodes"):
        read(f"{POD}l0: &l0 lol\n{laughs}".encode(), SERVED)
    assert time.process_time() - started < 1


TEMPLATE = """\
apiVersion: template.openshift.io/v1
kind: Template
objects:
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: "${NAME}-${NAME}"}
  data: {a: "${{NUMBER}}", b: "${{TEXT}}", c: "${OTHER}", d: "${QUOTES}", e: "$${NAME}"}
parameters:
- {name: NAME, value: x}
- {name: NUMBER, value: "[2]"}
- {name: TEXT, value: "a: b"}
- {name: OTHER, generate: expression}
- {name: QUOTES, value: "\\"\\n"}
"""


def test_the_objects_of_an_openshift_template_have_the_values_of_its_parameters() -> None:
    (document,) = read(TEMPLATE.encode(), SERVED)
    assert (document.path, document.name) == ("/objects/0", "x-x")
    assert document.value["data"] == {"a": [2], "b": "a: b", "c": "${OTHER}", "d": '"\n', "e": "$x"}


@pytest.mark.parametrize("value", ["NaN", "1e999", r'"\ud800"', "[1] [2]", "[" * 200_000 + "]" * 200_000])
def test_a_value_that_is_not_json_is_text(value: str) -> None:
    parameters = f"parameters: [{{name: NUMBER, value: '{value}'}}]\n"
    (document,) = read((TEMPLATE.partition("parameters")[0] + parameters).encode(), SERVED)
    assert document.value["data"]["a"] == value


def test_the_depth_of_parameters_is_limited() -> None:
    body = f"{TEMPLATE.partition('parameters')[0]}parameters: [{{name: NUMBER, value: '{'[' * 500}{']' * 500}'}}]\n"
    with pytest.raises(InvalidManifest, match="nested deeper than 64 levels"):
        read(body.encode(), SERVED)


def test_the_values_of_parameters_are_counted_before_they_are_filled_in() -> None:
    many = "".join(f"\n  d{index}: ${{LONG}}" for index in range(5000))
    body = f"apiVersion: template.openshift.io/v1\nkind: Template\nobjects:\n- a: b{many}\n"
    with pytest.raises(ManifestTooLarge, match="larger than"):
        read(f"{body}parameters:\n- {{name: LONG, value: {'x' * 100_000}}}\n".encode(), SERVED)


@pytest.mark.parametrize("objects", ["", "objects: 1", "objects: [1]"])
def test_a_template_without_objects_is_told_so(objects: str) -> None:
    with pytest.raises(InvalidManifest, match="document 1: objects is not a list of objects"):
        read(f"apiVersion: template.openshift.io/v1\nkind: Template\n{objects}".encode(), SERVED)
