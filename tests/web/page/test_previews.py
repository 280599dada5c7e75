"""From a manifest to what is shown of it."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.web.page.conftest import Visiting
from webhook.settings import Settings
from webhook.web.page import assets

EXAMPLES = {
    name.removeprefix("examples/").removesuffix(".yaml"): text
    for name, text in assets(Settings(bucket="my-ml-bucket")).items()
    if name.startswith("examples/")
}
DEPLOYMENT = EXAMPLES["deployment"]
SERVICE = """
---
apiVersion: v1
kind: Service
metadata:
  name: my-inference-app
"""
POD = """
apiVersion: v1
kind: Pod
metadata:
  name: my-pod
  annotations: {model-injector.io/model: my-model, model-injector.io/version: 1;}
spec:
  containers: [{name: app, image: app}]
"""
_TEMPLATE = """template:
      metadata:
        annotations: {{model-injector.io/model: my-model, model-injector.io/version: {version}}}
      spec:
        containers: [{{name: ray, image: ray}}]
"""
RAY = f"""
apiVersion: ray.io/v1
kind: RayCluster
metadata:
  name: ray
spec:
  headGroupSpec:
    {_TEMPLATE.format(version="1.2.3")}
  workerGroupSpecs:
  - groupName: one
    {_TEMPLATE.format(version="1;")}
  - groupName: two
    {_TEMPLATE.format(version="1;")}
"""
HOSTILE = """
apiVersion: v1
kind: Pod
metadata:
  name: "<img src=x onerror=alert(1)>"
  annotations:
    model-injector.io/model: my-model
    model-injector.io/version: 1.2.3
    model-injector.io/<script>alert(2)</script>: "<script>alert(3)</script>"
    model-injector.io/modle: "\\"><img src=x onerror=alert(4)>"
    model-injector.io/service-account: "javascript:alert(5)"
spec:
  serviceAccountName: "<b>bold</b>"
  containers:
    - name: "<svg onload=alert(6)>"
      image: "<img src=x onerror=alert(7)>"
      volumeMounts:
        - {name: "</title><script>alert(8)</script>", mountPath: "/<img src=x onerror=alert(9)>"}
"""


def test_the_page_loads_and_says_how_to_begin(visit: Visiting) -> None:
    page = visit().open().page
    expect(page.get_by_role("status")).to_have_text("Paste a manifest, drop a file, or choose an example.")
    expect(page.get_by_role("heading", name="Annotations", level=2)).to_be_visible()


def test_a_pasted_manifest_shows_decision_models_picture_and_diff(visit: Visiting) -> None:
    view = visit().open().paste(DEPLOYMENT)
    expect(view.status).to_have_text("Deployment apps/my-inference-app: injected.")
    document = view.page.get_by_role("article", name="Deployment apps/my-inference-app")
    expect(document.locator(".badge")).to_have_text("Injected")
    row = view.model("my-model")
    expect(row).to_contain_text("43.2 MiB, 45,300,002 bytes")
    expect(row).to_contain_text("s3://my-ml-bucket/model-artifacts/my-model-1.2.3")
    expect(row.get_by_title("45,300,002 bytes")).to_be_visible()
    expect(document.get_by_role("img")).to_have_accessible_name(
        re.compile("init containers: 1, volumes: 1, containers: 1")
    )
    expect(document.get_by_role("img")).to_contain_text("fetch-my-model")
    added = document.locator(".diff td.text.added")
    expect(added.filter(has_text="mountPath: /app/model-artifacts")).to_be_visible()
    expect(document.locator(".remark")).to_have_count(0)


def test_the_button_does_what_the_keys_do(visit: Visiting) -> None:
    view = visit().open()
    view.page.get_by_label("Manifest, YAML or JSON").fill(DEPLOYMENT)
    view.page.get_by_role("button", name="Preview").click()
    expect(view.documents).to_have_count(1)


@pytest.mark.parametrize(
    ("example", "decision"),
    [
        ("deployment", "Injected"),
        ("several-models", "Injected"),
        ("alias", "Injected"),
        ("job", "Injected"),
        ("refused", "Refused"),
        ("misplaced", "Left alone"),
    ],
)
def test_each_example_shows_what_it_is_there_for(visit: Visiting, example: str, decision: str) -> None:
    view = visit().open().choose(example)
    expect(view.documents.locator(".badge")).to_have_text(decision)
    expect(view.page.get_by_label("Manifest, YAML or JSON")).to_have_value(EXAMPLES[example])


def test_every_example_is_tested() -> None:
    assert EXAMPLES.keys() == {"deployment", "several-models", "alias", "job", "refused", "misplaced"}


def test_an_alias_is_shown_with_the_version_that_it_means(visit: Visiting) -> None:
    view = visit().open().choose("alias")
    expect(view.model("my-model")).to_contain_text("@champion → 1.2.3")


def test_the_picture_has_init_containers_in_order_and_tells_the_same_as_text(visit: Visiting) -> None:
    view = visit().open().choose("several-models")
    picture = view.page.get_by_role("img", name="Picture of the pod")
    expect(picture.locator(".box .name")).to_have_text(
        [
            re.compile("fetch-my-org-encoder"),
            re.compile("fetch-ranker"),
            re.compile("migrate"),
            re.compile("model-artifacts"),
            re.compile("routes"),
            re.compile("router"),
            re.compile("encoder"),
        ]
    )
    expect(picture.locator(".link.flow")).to_have_count(4)
    view.page.get_by_text("Description as text").click()
    steps = view.page.locator(".told ol > li")
    expect(steps).to_have_count(3)
    expect(steps.first).to_contain_text("fetch-my-org-encoder: added")
    expect(view.page.locator(".told")).to_contain_text("/models/encoder from the volume model-artifacts, read-only")


def test_a_native_sidecar_and_every_kind_of_volume_are_named_in_the_picture(visit: Visiting) -> None:
    view = visit().open().choose("job")
    expect(view.page.get_by_role("img")).to_contain_text("claim fine-tune-scratch")
    view.paste(
        DEPLOYMENT
        + "      initContainers: [{name: proxy, image: proxy, restartPolicy: Always}]\n"
        + "      volumes: [{name: cache, emptyDir: {medium: Memory, sizeLimit: 1Gi}}]\n"
    )
    picture = view.page.get_by_role("img")
    expect(picture).to_contain_text("sidecar")
    expect(picture).to_contain_text("emptyDir, memory, up to 1Gi")


def test_a_pod_of_too_many_parts_has_no_picture_and_stays_readable(visit: Visiting) -> None:
    mounts = "".join(f"            - {{name: v, mountPath: /{number}}}\n" for number in range(300))
    view = visit().open()
    view.paste(f"{DEPLOYMENT}          volumeMounts:\n{mounts}")
    expect(view.status).to_have_text("Deployment apps/my-inference-app: injected.")
    expect(view.page.get_by_text("too many parts for a picture")).to_be_visible()
    expect(view.page.get_by_role("img")).to_have_count(0)


def test_each_template_of_an_object_has_its_own_remarks_and_its_own_picture(visit: Visiting) -> None:
    view = visit().open().paste(RAY)
    expect(view.status).to_have_text("RayCluster default/ray: refused.")
    expect(view.page.locator("h4")).to_have_text(
        [
            "Annotations of /spec/headGroupSpec/template",
            "Annotations of /spec/workerGroupSpecs/0/template",
            "Annotations of /spec/workerGroupSpecs/1/template",
            "Model",
            "The pod of /spec/headGroupSpec/template",
            "Changes",
        ]
    )
    refusals = view.beside("model-injector.io/version")
    expect(refusals).to_have_text([re.compile("'1;' is not allowed"), re.compile("'1;' is not allowed")])


def test_a_pod_is_shown_as_what_it_is(visit: Visiting) -> None:
    view = visit().open().paste(POD)
    expect(view.status).to_have_text("Pod default/my-pod: refused.")
    expect(view.page.get_by_role("heading", name="Annotations", level=4)).to_have_text("Annotations")
    expect(view.beside("model-injector.io/version")).to_contain_text("'1;' is not allowed")
    view.paste(POD.replace("1;", "1.2.3"))
    expect(view.status).to_have_text("Pod default/my-pod: injected.")
    expect(view.page.get_by_role("figure")).to_contain_text("Pod my-pod")


def test_the_diff_is_shown_in_one_column_or_in_two(visit: Visiting) -> None:
    view = visit().open().paste(DEPLOYMENT)
    diff = view.page.locator(".diff")
    expect(diff.locator("tbody tr").first.locator("td")).to_have_count(4)
    view.page.get_by_label("Side by side").check()
    expect(diff.locator("tbody tr").first.locator("td")).to_have_count(6)
    expect(diff.locator("td.none").first).to_be_visible()
    view.page.get_by_label("Unified").check()
    expect(diff.locator("tbody tr").first.locator("td")).to_have_count(4)


def test_lines_of_the_diff_have_the_numbers_that_they_have_in_the_manifest(visit: Visiting) -> None:
    view = visit().open().paste(DEPLOYMENT)
    line = DEPLOYMENT.splitlines().index("        - name: app") + 1
    row = view.page.get_by_role("row").filter(has_text=re.compile(r"- name: app$"))
    expect(row.locator("td").first).to_have_text(str(line))
    expect(row.locator("td").nth(1)).to_have_text(str(line + 2))


def test_of_several_documents_there_is_a_list_and_where_nothing_happens_a_line(visit: Visiting) -> None:
    view = visit().open().paste(DEPLOYMENT + SERVICE + "---\n" + EXAMPLES["refused"])
    expect(view.status).to_have_text("3 documents: 1 injected, 1 left alone, 1 refused.")
    links = view.page.get_by_role("navigation", name="Documents").get_by_role("link")
    expect(links).to_have_text(
        ["Deployment apps/my-inference-app", "Service default/my-inference-app", "StatefulSet apps/my-inference-app"]
    )
    expect(view.documents.nth(1)).to_have_text(re.compile(r"^Service .*Left alone\s*NoPods$"))
    links.nth(2).click()
    expect(view.page.get_by_role("heading", name="StatefulSet")).to_be_in_viewport()


def test_the_namespace_is_the_one_of_the_field_where_the_manifest_names_none(visit: Visiting) -> None:
    view = visit().open()
    view.page.get_by_label("Namespace").fill("kube-system")
    view.paste(DEPLOYMENT.replace("  namespace: apps\n", ""))
    expect(view.status).to_contain_text("Deployment kube-system/my-inference-app: left alone")


def test_patch_and_pod_are_there_to_be_read(visit: Visiting) -> None:
    view = visit().open().paste(DEPLOYMENT)
    view.page.get_by_text("JSON Patch").click()
    expect(view.page.get_by_role("group", name="JSON Patch")).to_contain_text('"op": "add"')
    view.page.get_by_text("Pod, as it will be").click()
    expect(view.page.get_by_role("group", name="Pod, as it will be")).to_contain_text('"serviceAccountName"')


def test_files_are_opened_and_dropped(visit: Visiting, tmp_path: Path) -> None:
    view = visit().open()
    (tmp_path / "one.yaml").write_text(DEPLOYMENT)
    (tmp_path / "two.yaml").write_text(SERVICE)
    view.page.get_by_label("Open files").set_input_files([tmp_path / "one.yaml", tmp_path / "two.yaml"])
    expect(view.documents).to_have_count(2)
    dropped = view.page.evaluate_handle(
        """text => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([text], "three.yaml"));
            return transfer;
        }""",
        EXAMPLES["refused"],
    )
    view.page.locator("#manifest").dispatch_event("dragover", {"dataTransfer": dropped})
    expect(view.page.locator("#editor")).to_have_class(re.compile("target"))
    view.page.locator("#manifest").dispatch_event("drop", {"dataTransfer": dropped})
    expect(view.status).to_have_text("StatefulSet apps/my-inference-app: refused.")
    expect(view.page.locator("#editor")).not_to_have_class(re.compile("target"))


def test_what_a_manifest_carries_stays_text(visit: Visiting) -> None:
    view = visit().open()
    view.page.on("dialog", lambda dialog: view.problems.append(dialog.message))
    view.paste(HOSTILE)
    expect(view.status).to_contain_text("<img src=x onerror=alert(1)>: refused")
    expect(view.page.locator("dl.given")).to_contain_text("<script>alert(3)</script>")
    view.paste(re.sub(r".*service-account.*\n", "", HOSTILE))
    expect(view.status).to_contain_text("<img src=x onerror=alert(1)>: injected")
    expect(view.page.get_by_role("img")).to_contain_text("<svg onload=alert(6)>")
    for details in view.page.locator("#documents summary").all():
        details.click()
    view.page.get_by_label("Side by side").check()
    assert (
        view.evaluate("() => document.querySelectorAll('#documents :is(img, script, b b, [onload], [onerror])').length")
        == 0
    )
    assert view.evaluate("() => document.scripts.length") == 1


def test_nothing_is_stored(visit: Visiting) -> None:
    view = visit().open().choose("deployment")
    view.page.get_by_role("button", name="Copy link").click()
    expect(view.status).to_contain_text("link")
    stored = view.evaluate(
        """async () => [
            localStorage.length, sessionStorage.length, (await indexedDB.databases()).length,
            (await caches.keys()).length, document.cookie, location.hash, history.length,
        ]"""
    )
    assert stored == [0, 0, 0, 0, "", "", 2]
    assert view.page.context.cookies() == []
    view.page.reload()
    expect(view.page.get_by_label("Manifest, YAML or JSON")).to_have_value("")


def test_without_scripts_the_annotations_are_there_and_a_word_about_it(visit: Visiting) -> None:
    view = visit(java_script_enabled=False).open()
    assert "This page needs JavaScript" in view.page.locator("noscript").inner_text()
    expect(view.page.locator(".entry", has_text="model-injector.io/version")).to_be_visible()
