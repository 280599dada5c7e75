"""What a preview tells of a document."""

import dataclasses

import jsonpatch
import msgspec
import pytest

from tests.preview.previews import SETTINGS, only, previewed
from tests.support.known import Known, known_settings
from webhook.catalog.lookup.exact import ExactCatalog
from webhook.preview import SERVED, makes_pods, manifests, preview, read
from webhook.preview.errors import InvalidManifest, ManifestTooLarge

POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: my-pod
  annotations:
    model-injector.io/model: my-model   # the one of the guide
    model-injector.io/version: {version}
spec:
  containers:
    # ours
    - name: app
      image: 'app:1'
"""
DEPLOYMENT = """\
# who owns this: team ml
apiVersion: apps/v1
kind: Deployment
metadata: {name: my-app, namespace: ml}
spec:
  template:
    metadata:
      annotations:
        model-injector.io/model: my-model
        model-injector.io/version: "VERSION"
    spec:
      containers:
      - name: app   # the application
        image: app:1
"""


def test_a_pod_is_as_the_cluster_would_have_it() -> None:
    found = only(POD.format(version="1.2.3"))
    assert (found.kind, found.name, found.namespace) == ("Pod", "my-pod", "apps")
    assert (found.allowed, found.decision, found.reason, found.message) == (True, "injected", "Injected", "")
    (model,) = found.models
    assert model.uri == "s3://my-ml-bucket/model-artifacts/my-model-1.2.3"
    assert found.manifest["spec"]["initContainers"][0]["name"] == "fetch-my-model"
    assert found.pods == ()


def test_a_refusal_is_told_in_a_word_and_in_words() -> None:
    found = only(POD.format(version="^1.2"))
    assert (found.allowed, found.decision, found.reason) == (False, "refused", "UnknownVersion")
    assert "needs a catalog" in found.message
    assert found.patch == ()
    assert found.diff == ""


def test_a_workload_shows_its_pins_and_what_happens_to_its_pods() -> None:
    settings = known_settings()
    catalog = Known(settings, {"my-model": ("1.2.3",)}, {"my-model": {"champion": "1.2.3"}})
    found = only(DEPLOYMENT.replace("VERSION", "@champion"), settings, catalog)
    paths = [operation["path"] for operation in found.patch]
    assert paths[0] == "/spec/template/metadata/annotations/model-injector.io~1pinned"
    assert "/spec/template/spec/initContainers" in paths
    (model,) = found.models
    assert (model.asked, model.version, model.files, model.bytes) == ("@champion", "1.2.3", 2, 1000)
    (pod,) = found.pods
    assert pod.path == "/spec/template"
    assert pod.manifest["metadata"]["generateName"] == "my-app-"
    assert pod.manifest["spec"] == found.manifest["spec"]["template"]["spec"]


def test_the_refusal_of_a_workloads_pods_is_told_once() -> None:
    found = only(DEPLOYMENT.replace("VERSION", "^1"))
    assert not found.allowed
    assert "needs a catalog" in found.message
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("apps/v1 Deployment", " itself: write it to spec.template.metadata.annotations"),
        ("argoproj.io/v1 Rollout", " itself: write it to spec.template.metadata.annotations"),
    ],
)
def test_an_annotation_that_stands_in_the_wrong_place_is_told_where_to_stand(kind: str, hint: str) -> None:
    version, name = kind.split()
    found = only(
        f"apiVersion: {version}\nkind: {name}\nmetadata: {{annotations: {{model-injector.io/model: a}}}}\n"
        "spec: {template: {spec: {containers: [{name: a}]}}}"
    )
    assert found.warnings == (f"model-injector.io/model does nothing on a {name}{hint}",)
    assert (found.decision, found.patch) == ("skipped", ())


def test_an_annotation_on_what_makes_no_pods_is_told_so() -> None:
    found = only("apiVersion: v1\nkind: Service\nmetadata: {annotations: {model-injector.io/model: a}}")
    assert found.warnings == (
        "model-injector.io/model does nothing on a Service: no pod template was found there; move it to one",
    )
    assert found.reason == "NoPods"


def test_an_annotation_that_a_controller_may_copy_is_not_said_to_do_nothing() -> None:
    (warning,) = only(
        "apiVersion: trainer.kubeflow.org/v1alpha1\nkind: TrainJob\nspec: {annotations: {model-injector.io/model: a}}"
    ).warnings
    assert "at spec.annotations, unless the controller of TrainJob copies it: no pod template was found" in warning


def test_pods_whose_spec_is_elsewhere_are_told_to_be_unknown() -> None:
    text = "apiVersion: tekton.dev/v1\nkind: TaskRun\nmetadata: {annotations: {model-injector.io/model: a}}\nspec: SPEC"
    assert only(text.replace("SPEC", "{taskRef: {name: a}}")).warnings == (
        "whether the pods of this TaskRun are admitted is unknown: the manifest lacks their spec",
    )


def test_the_diff_keeps_comments_order_quotes_and_the_authors_indentation() -> None:
    lines = only(POD.format(version="1.2.3")).diff.splitlines()
    assert lines[:2] == ["--- a/Pod/apps/my-pod", "+++ b/Pod/apps/my-pod"]
    assert {line[0] for line in lines[2:]} == {"@", " ", "+"}, "nothing but additions"
    assert "     # ours" in lines
    assert "       image: 'app:1'" in lines
    assert "+        - name: model-artifacts" in lines
    lines = only(DEPLOYMENT.replace("VERSION", "1.2.3")).diff.splitlines()
    assert "       - name: app   # the application" in lines
    assert "+        - name: model-artifacts" in lines


def test_the_diff_shows_the_constant_script_in_a_line() -> None:
    diff = only(POD.format(version="1.2.3")).diff
    assert "fetch.sh: " in diff
    assert len(diff) < 4000


@pytest.mark.parametrize("text", [POD.format(version="1.2.3"), DEPLOYMENT.replace("VERSION", "1.2.3")])
def test_the_patch_of_the_document_makes_its_manifest(text: str) -> None:
    found = only(text)
    (document,) = read(text.encode(), SERVED)
    assert jsonpatch.apply_patch(document.value, msgspec.to_builtins(found.patch)) == found.manifest


def test_the_manifests_are_the_authors_text_with_what_is_added() -> None:
    pod, service = POD.format(version="1.2.3"), "# untouched\napiVersion: v1\nkind:   Service\n"
    text = f"{service}---\n{pod}---\n{pod.replace('1.2.3', '^1')}"
    written = manifests(text.encode(), previewed(text), SERVED)
    first, second, third = written.split("---\n")
    assert first == service
    assert "model-injector.io/model: my-model   # the one of the guide" in second
    assert third.startswith("# refused: model my-model: version '^1' needs a catalog")
    documents = read(written.encode(), SERVED)
    assert documents[1].value == previewed(text).documents[1].manifest


def test_a_manifest_that_was_patched_needs_no_more() -> None:
    text = DEPLOYMENT.replace("VERSION", "1.2.3")
    again = only(manifests(text.encode(), previewed(text), SERVED))
    assert (again.decision, again.patch) == ("unchanged", ())


@pytest.mark.parametrize(
    "text",
    [
        (
            '{"apiVersion": "v1", "kind": "Pod", "metadata": {"annotations": {"model-injector.io/model": "a",'
            ' "model-injector.io/version": "1.2.3"}}, "spec": {"containers": [{"name": "a"}]}}'
        ),
        (
            "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {annotations: "
            "{model-injector.io/model: a, model-injector.io/version: 1.2.3}}, spec: {containers: [{name: a}]}}"
        ),
    ],
)
def test_json_and_flow_style_are_shown_as_lines_too(text: str) -> None:
    lines = only(text).diff.splitlines()
    assert "   containers:" in lines
    assert "+  initContainers:" in lines


def test_a_review_is_decided_on_as_it_was_asked() -> None:
    review = {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "1",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "operation": "CREATE",
            "namespace": "kube-system",
            "object": read(POD.format(version="1.2.3").encode(), SERVED)[0].value,
        },
    }
    found = only(msgspec.json.encode(review).decode())
    assert (found.kind, found.namespace, found.reason) == ("Pod", "kube-system", "ProtectedNamespace")
    review["request"]["operation"] = "UPDATE"  # type: ignore[index]
    assert only(msgspec.json.encode(review).decode()).reason == "NotForUs"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            POD.format(version="1.10"),
            "Pod my-pod: the annotation model-injector.io/version is not text; quote its value",
        ),
        (
            POD.format(version="~"),
            "Pod my-pod: the annotation model-injector.io/version is null, as YAML reads ~, null and an empty value",
        ),
        (
            DEPLOYMENT.replace('"VERSION"', "1"),
            "Deployment my-app: /spec/template: the annotation model-injector.io/version",
        ),
        (
            POD.format(version="1.2.3") + "      command: [1]",
            r"Pod my-pod: not a Pod: .*containers\[0\].command",
        ),
        ("apiVersion: v1\nkind: Pod", "Pod: not a Pod: Object missing required field `spec`"),
        ("apiVersion: v1\nkind: Pod\nmetadata: text", "Pod: not a Pod: .*metadata"),
    ],
)
def test_a_wrong_type_is_named_with_its_object_and_its_place(text: str, complaint: str) -> None:
    with pytest.raises(InvalidManifest, match=complaint):
        only(text)


def review_of(kind: str, **request: object) -> str:
    """A review of a ReplicaSet, which says that it is of some kind."""
    (document,) = read(DEPLOYMENT.replace("VERSION", "1.2.3").replace("Deployment", "ReplicaSet").encode(), SERVED)
    of = {"group": "apps", "version": "v1", "kind": kind}
    asked = {"uid": "1", "kind": of, "operation": "CREATE", "namespace": "apps", "object": document.value, **request}
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": asked}
    return msgspec.json.encode(review).decode()


def test_a_review_of_what_the_webhook_is_not_asked_about_shows_the_pods_all_the_same() -> None:
    found = only(review_of("ReplicaSet"))
    assert (found.decision, [pod.path for pod in found.pods]) == ("injected", ["/spec/template"])
    assert only(review_of("ReplicaSet", operation="DELETE")).reason == "NotForUs"
    assert only(review_of("ReplicaSet", subResource="scale")).reason == "NotForUs"


def test_a_review_is_of_its_object() -> None:
    with pytest.raises(InvalidManifest, match="kind is apps/v1/Deployment, but its object is apps/v1/ReplicaSet"):
        only(review_of("Deployment"))


def test_whatever_stands_in_a_review_needs_a_right() -> None:
    review = {"kind": "AdmissionReview", "request": {"object": {"apiVersion": "v1", "kind": "ConfigMap"}}}
    (document,) = read(msgspec.json.encode(review), SERVED)
    assert makes_pods(document)


POLICY = """\
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: p}
spec:
  pattern:
    metadata: {annotations: {ANNOTATION}}
    spec: {containers: [{name: "*"}], volumes: "null"}
"""


def test_what_only_looks_like_a_pod_stops_nothing_and_is_told_where_it_asks() -> None:
    assert only(POLICY.replace("ANNOTATION", "a: b")).warnings == ()
    (warning,) = only(POLICY.replace("ANNOTATION", "model-injector.io/model: a")).warnings
    assert warning.startswith("no model is injected: /spec/pattern is not a Pod: Expected `array | null`")
    with pytest.raises(InvalidManifest, match=r"the annotation model-injector\.io/version is not text"):
        only(POLICY.replace("ANNOTATION", "model-injector.io/version: 1.10"))


def test_an_annotation_is_told_wherever_it_does_nothing() -> None:
    text = DEPLOYMENT.replace("VERSION", "1.2.3") + "  strategy: {annotations: {model-injector.io/model: a}}\n"
    assert only(text).warnings == (
        (
            "model-injector.io/model does nothing at spec.strategy.annotations: no pod template was found there; "
            "move it to one"
        ),
    )


def test_one_document_gets_no_more_models_than_a_whole_manifest() -> None:
    template = (
        "    - template: {metadata: {annotations: {model-injector.io/model: m, model-injector.io/version: 1.0.0}}, "
        "spec: {containers: [{name: a}]}}\n"
    )
    body = "apiVersion: ray.io/v1\nkind: RayCluster\nspec:\n  groups:\n"
    few = dataclasses.replace(SERVED, models=2)
    with pytest.raises(ManifestTooLarge, match="more than 2 models"):
        preview(read((body + 3 * template).encode(), SERVED)[0], "apps", SETTINGS, ExactCatalog(SETTINGS), few)


def test_null_in_another_annotation_is_as_in_the_cluster() -> None:
    assert only(POD.format(version="1.2.3\n    example.com/owner:")).decision == "injected"


def test_names_steer_no_terminal_and_end_no_line() -> None:
    text = POD.format(version="1.2.3").replace("name: my-pod", 'name: "a\\e[1m\\n::error::b"')
    assert "a?[1m?::error::b" in only(text).diff.splitlines()[0]
    unknown = text.replace("model-injector.io/version", '"model-injector.io/\\e[1m"')
    assert "\x1b" not in manifests(unknown.encode(), previewed(unknown), SERVED)


def test_what_is_left_empty_is_not_there() -> None:
    text = DEPLOYMENT.replace("VERSION", "1.2.3").replace("spec:\n  template:", "spec:\n  selector:\n  template:", 1)
    found = only(text + "      volumes:\n      securityContext:\n      initContainers: null\n")
    assert (found.decision, found.manifest["spec"]["template"]["spec"]["volumes"][0]["name"]) == (
        *("injected", "model-artifacts"),
    )
    assert only("apiVersion: apps/v1\nkind: Deployment\nmetadata:\nspec: {template: {metadata: , spec: {}}}").allowed


def test_only_what_makes_pods_needs_a_right() -> None:
    texts = {
        POD.format(version="1"): True,
        DEPLOYMENT: True,
        "apiVersion: apps/v1\nkind: Deployment": True,
        "apiVersion: v1\nkind: Service": False,
    }
    assert {text: makes_pods(read(text.encode(), SERVED)[0]) for text in texts} == texts


def test_rules_come_before_anything_that_the_catalog_knows() -> None:
    rules = ({"namespaces": ("apps",), "models": ("my-model",), "allow": False},)
    settings = known_settings(rules=rules)
    catalog = Known(settings, {"my-model": ("1.2.3",)})
    there, missing = (only(POD.format(version=f'"{version}"'), settings, catalog) for version in ("1.2.3", "9.9.9"))
    assert there.reason == missing.reason == "Forbidden"
    assert there.message == missing.message
    assert there.models == missing.models == ()


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_block_scalar_at_the_end_of_the_file_can_be_replaced(end: str) -> None:
    containers = "spec: {containers: [{name: app, image: app:1}]}\nmetadata:\n  annotations:\n"
    asked = "    model-injector.io/model: my-model\n    model-injector.io/version: 1.2.3\n"
    text = f"apiVersion: v1\nkind: Pod\n{containers}{asked}    model-injector.io/injected: |-\n      []{end}"
    found = only(text)
    assert found.allowed
    assert "my-model" in found.manifest["metadata"]["annotations"]["model-injector.io/injected"]
    assert "+    model-injector.io/injected:" in found.diff


def test_a_warning_is_one_line_whatever_it_quotes() -> None:
    text = POD.format(version="1.2.3").replace("kind: Pod", r'kind: "\u001f"').replace("v1", "example.com/v1")
    (warning,) = only(text).warnings
    assert "?" in warning
    assert "\x1f" not in warning
