"""What an annotated pod becomes."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.admission.conftest import PREFIX, Injector, annotated, asking
from webhook.fetching.script import SCRIPT

TWO_MODELS = "[{model: encoder, version: 1.0.0}, {model: my-org/ranker, version: 2.0.0}]"


def mounts(container: dict[str, Any]) -> dict[str, str]:
    """Mount path to volume and sub path, of our volumes."""
    return {
        mount["mountPath"]: f"{mount['name']}:{mount.get('subPath', '')}" for mount in container.get("volumeMounts", ())
    }


def env(container: dict[str, Any]) -> dict[str, str]:
    return {variable["name"]: variable.get("value", "") for variable in container.get("env", ())}


def test_the_init_container_passes_restricted_pod_security(injected: Injector) -> None:
    (fetch,) = injected(asking())["spec"]["initContainers"]
    context = fetch["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] == 65532
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert context["readOnlyRootFilesystem"] is True


def test_the_init_container_runs_the_constant_script(injected: Injector) -> None:
    (fetch,) = injected(asking())["spec"]["initContainers"]
    assert fetch["command"] == ["/bin/sh", "-c", SCRIPT, "model-fetch"]


def test_the_app_finds_the_model_through_its_environment(injected: Injector) -> None:
    (app,) = injected(asking())["spec"]["containers"]
    assert env(app) == {
        "MODEL_PATH": "/model-artifacts/my-model-1.2.3",
        "MODEL_NAME": "my-model",
        "MODEL_VERSION": "1.2.3",
    }


def test_several_models_have_variables_of_their_own(injected: Injector) -> None:
    (app,) = injected(annotated(models=TWO_MODELS))["spec"]["containers"]
    assert env(app)["MODEL_ENCODER_PATH"] == "/model-artifacts/encoder-1.0.0"
    assert env(app)["MODEL_MY_ORG_RANKER_PATH"] == "/model-artifacts/my-org/ranker-2.0.0"
    assert env(app)["MODEL_MY_ORG_RANKER_VERSION"] == "2.0.0"
    assert "MODEL_PATH" not in env(app)


def test_a_prefix_of_one_model_leaves_the_variables_of_the_others(injected: Injector) -> None:
    models = TWO_MODELS.replace("}", ", envPrefix: ENCODER}", 1)
    (app,) = injected(annotated(models=models))["spec"]["containers"]
    paths = [name for name in env(app) if name.endswith("_PATH")]
    assert paths == ["ENCODER_PATH", "MODEL_MY_ORG_RANKER_PATH"]


def test_models_in_different_containers_may_have_the_same_prefix(injected: Injector) -> None:
    entry = "{{model: {0}, version: 1.0.0, envPrefix: MODEL, containers: {1}}}".format
    models = f"[{entry('encoder', 'a')}, {entry('ranker', 'b')}]"
    containers = {"containers": [{"name": name, "image": "app"} for name in ("a", "b", "c")]}
    found = injected(annotated(containers, models=models))["spec"]["containers"]
    assert [env(each).get("MODEL_NAME") for each in found] == ["encoder", "ranker", None]
    message = injected.refusal(annotated(containers, models=models.replace("containers: b", "containers: a")))
    assert message.endswith(
        "models[1].envPrefix: another model sets the variable MODEL_PATH, too; write another prefix"
    )


def test_the_containers_own_variables_can_refer_to_ours(injected: Injector) -> None:
    own = [{"name": "ARGS", "value": "--model=$(MODEL_PATH)"}]
    (app,) = injected(asking({"containers": [{"name": "app", "env": own}]}))["spec"]["containers"]
    assert [variable["name"] for variable in app["env"]] == ["MODEL_PATH", "MODEL_NAME", "MODEL_VERSION", "ARGS"]


def test_a_variable_that_is_there_stays(injected: Injector) -> None:
    own = [{"name": "MODEL_PATH", "value": "/mine"}]
    (app,) = injected(asking({"containers": [{"name": "app", "env": own}]}))["spec"]["containers"]
    assert env(app)["MODEL_PATH"] == "/mine"


def test_a_model_path_shows_the_models_own_folder_and_nothing_else(injected: Injector) -> None:
    (app,) = injected(asking(model_path="/opt/model"))["spec"]["containers"]
    assert mounts(app) == {"/opt/model": "model-artifacts:my-model-1.2.3"}
    assert env(app)["MODEL_PATH"] == "/opt/model"


def test_a_model_path_beside_a_mount_path_gives_both(injected: Injector) -> None:
    (app,) = injected(asking(model_path="/opt/model", mount_path="/models"))["spec"]["containers"]
    assert mounts(app) == {"/opt/model": "model-artifacts:my-model-1.2.3", "/models": "model-artifacts:"}


def test_only_the_chosen_containers_get_the_model(injected: Injector) -> None:
    spec = {"containers": [{"name": "app"}, {"name": "exporter"}], "initContainers": [{"name": "warm-up"}]}
    changed = injected(asking(spec, containers="app,warm-up"))["spec"]
    app, exporter = changed["containers"]
    assert mounts(app) == mounts(changed["initContainers"][1]) == {"/model-artifacts": "model-artifacts:"}
    assert exporter == {"name": "exporter"}


def test_every_app_container_gets_the_model_but_a_mesh_proxy_does_not(injected: Injector) -> None:
    spec = {"containers": [{"name": "istio-proxy"}, {"name": "app"}, {"name": "worker"}]}
    proxy, app, worker = injected(asking(spec))["spec"]["containers"]
    assert proxy == {"name": "istio-proxy"}
    assert mounts(app) == mounts(worker) == {"/model-artifacts": "model-artifacts:"}


def test_a_mount_path_shows_only_the_models_asked_for_there(injected: Injector) -> None:
    models = "[{model: a, version: '1', containers: [x]}, {model: b, version: '1', containers: [x, y]}]"
    spec = {"containers": [{"name": "x"}, {"name": "y"}]}
    x, y = injected(annotated(spec, models=models))["spec"]["containers"]
    assert mounts(x) == {"/model-artifacts": "model-artifacts:"}
    assert mounts(y) == {"/model-artifacts/b-1": "model-artifacts:b-1"}


def test_models_at_different_paths_are_mounted_one_by_one(injected: Injector) -> None:
    models = "[{model: a, version: '1', mountPath: /a}, {model: b, version: '1', mountPath: /b}]"
    (app,) = injected(annotated(models=models))["spec"]["containers"]
    assert mounts(app) == {"/a/a-1": "model-artifacts:a-1", "/b/b-1": "model-artifacts:b-1"}


def test_models_on_disk_and_in_memory_share_a_mount_path(injected: Injector) -> None:
    models = "[{model: a, version: '1'}, {model: b, version: '1', medium: memory, sizeLimit: 1Gi}]"
    changed = injected(annotated(models=models))["spec"]
    (app,) = changed["containers"]
    assert mounts(app) == {
        "/model-artifacts/a-1": "model-artifacts:a-1",
        "/model-artifacts/b-1": "model-artifacts-memory:b-1",
    }
    assert changed["volumes"] == [
        {"name": "model-artifacts", "emptyDir": {}},
        {"name": "model-artifacts-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1024Mi"}},
    ]


def test_mounts_are_read_only_unless_the_pod_says_otherwise(injected: Injector) -> None:
    changed = injected(asking(read_only="false"))["spec"]
    assert "readOnly" not in changed["containers"][0]["volumeMounts"][0]
    assert "a+rwX" in changed["initContainers"][0]["args"]
    changed = injected(asking())["spec"]
    assert changed["containers"][0]["volumeMounts"][0]["readOnly"] is True
    assert "a+rX" in changed["initContainers"][0]["args"]


def test_the_pods_own_volume_takes_the_download_and_shows_nothing_else(injected: Injector) -> None:
    claim = {"name": "cache", "persistentVolumeClaim": {"claimName": "cache"}}
    changed = injected(asking({"volumes": [claim]}, volume="cache"))["spec"]
    assert changed["volumes"] == [claim]
    assert changed["initContainers"][0]["volumeMounts"][0] == {"name": "cache", "mountPath": "/model-artifacts"}
    assert mounts(changed["containers"][0]) == {"/model-artifacts/my-model-1.2.3": "cache:my-model-1.2.3"}


def test_the_init_container_runs_as_the_pods_own_user(injected: Injector) -> None:
    changed = injected(asking({"securityContext": {"runAsUser": 1000}}))["spec"]
    assert changed["initContainers"][0]["securityContext"]["runAsUser"] == 1000


def test_root_pods_do_not_make_the_init_container_root(injected: Injector) -> None:
    changed = injected(asking({"securityContext": {"runAsUser": 0}}))["spec"]
    assert changed["initContainers"][0]["securityContext"]["runAsUser"] == 65532


def test_the_record_says_what_was_asked_and_what_came(injected: Injector) -> None:
    annotations = injected(asking())["metadata"]["annotations"]
    assert json.loads(annotations[f"{PREFIX}/injected"]) == [
        {
            "model": "my-model",
            "asked": "1.2.3",
            "version": "1.2.3",
            "strategy": "s3-init",
            "uri": "s3://my-ml-bucket/model-artifacts/my-model-1.2.3",
            "files": None,
            "bytes": None,
            "digest": None,
        }
    ]


def test_two_versions_of_a_model_stand_side_by_side(injected: Injector) -> None:
    models = "[{model: m, version: 1.0.0}, {model: m, version: 2.0.0}]"
    changed = injected(annotated(models=models))["spec"]
    assert [one["name"] for one in changed["initContainers"]] == ["fetch-m-1-0-0", "fetch-m-2-0-0"]
    assert env(changed["containers"][0])["MODEL_M_2_0_0_PATH"] == "/model-artifacts/m-2.0.0"


def test_names_that_differ_only_in_signs_get_names_of_their_own(injected: Injector) -> None:
    models = "[{model: a/b, version: '1'}, {model: a-b, version: '1'}, {model: a.b, version: '1'}]"
    names = [one["name"] for one in injected(annotated(models=models))["spec"]["initContainers"]]
    assert len(set(names)) == 3
    assert all(len(name) <= 63 for name in names)


def test_a_long_name_makes_a_container_name_that_kubernetes_takes(injected: Injector) -> None:
    (fetch,) = injected(asking(model="an-org/" + "long" * 40))["spec"]["initContainers"]
    assert len(fetch["name"]) <= 63
    assert not fetch["name"].endswith("-")


def test_the_other_layout_holds_in_the_bucket_and_on_disk_alike(configured: Callable[..., Injector]) -> None:
    changed = configured(layout="{model}/{version}")(asking())["spec"]
    assert changed["initContainers"][0]["args"][:2] == [
        "s3://my-ml-bucket/model-artifacts/my-model/1.2.3/*",
        "/model-artifacts/my-model/1.2.3",
    ]
    assert env(changed["containers"][0])["MODEL_PATH"] == "/model-artifacts/my-model/1.2.3"


def test_a_store_that_is_not_aws_is_reached_as_the_settings_say(configured: Callable[..., Injector]) -> None:
    injector = configured(
        endpoint_url="http://minio:9000",
        region="eu-west-1",
        anonymous=True,
        requester_pays=True,
        fetch={
            "caBundle": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
            "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}, {"name": "AWS_REGION", "value": "mine"}],
        },
    )
    (fetch,) = injector(asking())["spec"]["initContainers"]
    assert fetch["args"][-3:] == ["--no-sign-request", "--request-payer", "requester"]
    assert env(fetch) == {
        "HTTPS_PROXY": "http://proxy:3128",
        "AWS_REGION": "mine",
        "S3_ENDPOINT_URL": "http://minio:9000",
        "FETCH_CA_BUNDLE": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    }


@pytest.mark.parametrize(
    ("file", "is_kept"),
    [
        ("/var/run/secrets/kubernetes.io/serviceaccount/token", True),
        ("/run/secrets/kubernetes.io/serviceaccount/token", True),
        ("/var/run/secrets/eks.amazonaws.com/serviceaccount/token", False),
    ],
)
def test_the_init_container_keeps_its_token_if_the_settings_name_it(
    configured: Callable[..., Injector], file: str, is_kept: bool
) -> None:
    injector = configured(fetch={"env": [{"name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": file}]})
    (fetch,) = injector(asking())["spec"]["initContainers"]
    folders = {mount["mountPath"] for mount in fetch["volumeMounts"]}
    assert ("/var/run/secrets/kubernetes.io/serviceaccount" not in folders) == is_kept


def test_a_pod_chooses_among_the_sources(configured: Callable[..., Injector]) -> None:
    injector = configured(sources={"research": {"bucket": "research-bucket"}})
    (fetch,) = injector(asking(source="research"))["spec"]["initContainers"]
    assert fetch["args"][0] == "s3://research-bucket/my-model-1.2.3/*"
    assert "default or research" in injector.refusal(asking(source="other"))


@pytest.mark.parametrize(
    ("annotations", "argument"),
    [
        ({"verify": "sha256"}, "sha256"),
        ({"verify": "none"}, "none"),
        ({"timeout": "1h30m"}, "5400"),
    ],
)
def test_what_a_pod_asks_of_its_download_is_passed_to_the_script(
    injected: Injector, annotations: dict[str, str], argument: str
) -> None:
    (fetch,) = injected(asking(None, **annotations))["spec"]["initContainers"]
    assert argument in fetch["args"][3:5]


def test_the_settings_numbers_are_passed_to_the_script(configured: Callable[..., Injector]) -> None:
    injector = configured(fetch={"timeout": 77, "numWorkers": 5, "concurrency": 6, "image": "mirror/s5cmd:1"})
    (fetch,) = injector(asking())["spec"]["initContainers"]
    assert fetch["image"] == "mirror/s5cmd:1"
    assert fetch["args"][2:] == ["-", "size", "77", "a+rX", "6", "--numworkers", "5", "--retry-count", "3"]


def test_models_of_which_some_may_be_written_are_mounted_one_by_one(injected: Injector) -> None:
    models = "[{model: a, version: '1'}, {model: b, version: '1', readOnly: false}]"
    (app,) = injected(annotated(models=models))["spec"]["containers"]
    assert {mount["subPath"]: mount.get("readOnly", False) for mount in app["volumeMounts"]} == {
        "a-1": True,
        "b-1": False,
    }


@pytest.mark.parametrize("proxy", ["istio-proxy", "linkerd-proxy", "consul-dataplane", "kuma-sidecar"])
def test_every_meshs_proxy_is_known(injected: Injector, proxy: str) -> None:
    spec = {"containers": [{"name": "app"}], "initContainers": [{"name": proxy, "restartPolicy": "Always"}]}
    changed = injected(asking(spec))["spec"]
    assert [one["name"] for one in changed["initContainers"]] == [proxy, "fetch-my-model"]


def test_an_account_under_the_deprecated_name_alone_is_an_account(injected: Injector) -> None:
    assert "mine" in injected.refusal(asking({"serviceAccount": "mine"}, service_account="reader"))


def test_a_hidden_folder_is_a_path_like_any_other(injected: Injector) -> None:
    (app,) = injected(asking(mount_path="/home/user/.cache/models"))["spec"]["containers"]
    assert env(app)["MODEL_PATH"] == "/home/user/.cache/models/my-model-1.2.3"
