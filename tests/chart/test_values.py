"""What values do, and which can't be."""

import json
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.chart.conftest import BUCKET, CHART, JSON, Rendered, RenderError, helm, render
from webhook import __version__
from webhook.configuration import declared, load
from webhook.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:kubernetes_validate")
NOT_KUBERNETES = ("cert-manager.io/", "monitoring.coreos.com/")
EVERYTHING: JSON = {
    name: {"enabled": True}
    for name in ("autoscaling", "serviceMonitor", "prometheusRule", "dashboard", "guard", "networkPolicy")
}
CASES: dict[str, JSON] = {
    "default": {},
    "everything": EVERYTHING,
    "cert-manager": {"certificates": {"mode": "cert-manager"}},
    "an issuer of one's own": {
        "certificates": {
            "mode": "cert-manager",
            "certManager": {"issuerRef": {"name": "ours", "kind": "ClusterIssuer"}},
        }
    },
    "provided": {"certificates": {"mode": "provided", "provided": {"secretName": "ours", "caBundle": "PEM"}}},
    "one replica that may be missing": {"replicaCount": 1, "webhook": {"failurePolicy": "Ignore"}},
    "label": {"webhook": {"select": "label", "optIn": True, "objectSelector": {"matchLabels": {"a": "b"}}}},
    "selectors": {
        "webhook": {
            "namespaceSelector": {
                "matchLabels": {"team": "ml"},
                "matchExpressions": [
                    {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["kube-system"]}
                ],
            },
            "objectSelector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]},
            "matchConditions": [{"name": "more", "expression": "true"}],
            "annotations": {"x": "y"},
        }
    },
    "host network": {"hostNetwork": True, "server": {"port": 9443, "opsPort": 9080}},
    "names": {"nameOverride": "models", "commonLabels": {"team": "platform"}},
    "full name": {"fullnameOverride": "models"},
    "an account of one's own": {"serviceAccount": {"create": False, "name": "ours"}},
    "irsa": {"serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/x"}}},
    "digest": {"image": {"repository": "x/y", "digest": "sha256:" + "0" * 64}, "imagePullSecrets": [{"name": "pull"}]},
    "pod": {
        "annotations": {"a": "b"},
        "podAnnotations": {"c": "d"},
        "podLabels": {"e": "f"},
        "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
        "volumes": [{"name": "more", "emptyDir": {}}],
        "volumeMounts": [{"name": "more", "mountPath": "/more"}],
        "affinity": {"nodeAffinity": {}},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"operator": "Exists"}],
        "dnsPolicy": "Default",
        "priorityClassName": "",
        "podDisruptionBudget": {"maxUnavailable": "50%"},
        "topologySpreadConstraints": [
            {"topologyKey": "x", "maxSkew": 2, "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {}}
        ],
        "service": {"annotations": {"g": "h"}},
    },
    "network": {
        "networkPolicy": {
            "opsFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
            "egress": [{"ports": [{"port": 443}]}],
        }
    },
    "nothing that can be left out": {
        "networkPolicy": {"enabled": False},
        "podDisruptionBudget": {"enabled": False},
        "topologySpreadConstraints": [],
    },
    "settings": {
        "prefix": "models",
        "layout": "{model}/{version}",
        "region": "eu-west-1",
        "endpointUrl": "https://s3.internal",
        "anonymous": True,
        "requesterPays": True,
        "sources": {"research": {"bucket": "research", "layout": "{model}/{version}"}},
        "annotationPrefix": "models.example.com",
        "defaults": {"version": "1.0.0", "mountPath": "/models", "verify": "sha256"},
        "fetch": {
            "timeout": "1h",
            "numWorkers": 8,
            "resources": {"limits": {"cpu": 1}},
            "env": [{"name": "A", "value": ""}],
        },
        "catalog": {"mode": "none"},
        "server": {"drain": 30},
        "certificates": {"caLifetime": "720h", "leafLifetime": "24h", "overlap": 120},
    },
}


@pytest.mark.parametrize("which", ["oldest", "newest"])
@pytest.mark.parametrize("kubernetes", ["1.28", "1.37"])
@pytest.mark.parametrize("case", CASES)
def test_every_object_is_valid_by_the_official_schema(case: str, kubernetes: str, which: str) -> None:
    values = CASES[case]
    if kubernetes == "1.28":
        values = {**values, "guard": {"enabled": False}}
    rendered = render(values, which=which, kubernetes=kubernetes)
    for content in rendered.values():
        if not content["apiVersion"].startswith(NOT_KUBERNETES):
            kubernetes_validate.validate(content, kubernetes, strict=True)


@pytest.mark.parametrize("which", ["oldest", "newest"])
@pytest.mark.parametrize("case", CASES)
def test_helm_finds_nothing_to_complain_about(case: str, which: str) -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", CHART, which=which, values={**BUCKET, **CASES[case]})


@pytest.mark.parametrize("case", CASES)
def test_both_helms_and_each_time_render_the_same(case: str) -> None:
    first = render(CASES[case])
    assert first == render(CASES[case]) == render(CASES[case], which="oldest")


@pytest.mark.parametrize("case", CASES)
def test_the_webhook_takes_the_settings_that_it_is_given(case: str, tmp_path: Path) -> None:
    rendered = render(CASES[case])
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(rendered.settings))
    settings = load(tmp_path / "settings.yaml")
    assert (
        settings.certificates.webhook_configuration == rendered.one("MutatingWebhookConfiguration")["metadata"]["name"]
    )
    service = rendered.entry["clientConfig"]["service"]
    assert settings.certificates.hosts == (f"{service['name']}.{service['namespace']}.svc",)
    if settings.certificates.mode == "auto":
        assert (
            rendered["Secret", settings.certificates.secret]["metadata"]["namespace"] == settings.certificates.namespace
        )
        (rule,) = rendered.one("Role")["rules"]
        assert rule["resourceNames"] == [settings.certificates.secret]
    ports = {each["name"]: each["containerPort"] for each in rendered.container["ports"]}
    assert ports == {"webhook": settings.server.port, "ops": settings.server.ops_port}
    given = CASES[case].get("fetch", {})
    assert settings.fetch.num_workers == given.get("numWorkers", 32)


def test_every_setting_can_be_a_value() -> None:
    """But for those that follow from the release."""
    rendered = render(CASES["settings"]).settings
    given = {name for name in rendered if name not in ("server", "certificates")}
    assert given == {setting.path.split(".")[0] for setting in declared()} - {"server", "certificates"}
    assert set(rendered["certificates"]) == {
        setting.path.split(".")[1] for setting in declared() if setting.path.startswith("certificates.")
    }


def test_the_chart_and_the_program_are_of_one_version_and_one_prefix() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == __version__
    assert values["annotationPrefix"] == Settings.model_fields["annotation_prefix"].default


def test_every_value_is_in_the_schema_and_every_key_of_the_schema_has_its_default() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert set(schema["properties"]) == {*values, "global", "enabled"}
    for name, value in values.items():
        reference = schema["properties"][name].get("$ref", "").removeprefix("#/$defs/")
        if value and reference:
            assert set(schema["$defs"][reference]["properties"]) == set(value), name


@pytest.mark.parametrize("which", ["oldest", "newest"])
@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"replicaCuont": 3}, "replicaCuont"),
        ({"fetch": {"numWorker": 3}}, "numWorker"),
        ({"webhook": {"timeoutSecond": 3}}, "timeoutSecond"),
        ({"sources": {"a": {"bucket": "abc", "regoin": "x"}}}, "regoin"),
        ({"webhook": {"timeoutSeconds": 11}}, "timeoutSeconds"),
        ({"webhook": {"failurePolicy": "fail"}}, "failurePolicy"),
        ({"certificates": {"mode": "manual"}}, "mode"),
        ({"image": {"digest": "latest"}}, "digest"),
        ({"bucket": "s3://my-ml-bucket"}, "bucket"),
        ({"layout": "{model}"}, "layout"),
        ({"annotationPrefix": "Models"}, "annotationPrefix"),
        ({"defaults": {"version": 1.0}}, "version"),
        ({"fetch": {"timeout": "soon"}}, "timeout"),
        ({"replicaCount": "2"}, "replicaCount"),
        ({"server": {"port": 70000}}, "port"),
        ({"bucket": ""}, "no bucket is set: set `bucket`, or `sources`"),
        ({"certificates": {"mode": "provided"}}, "set certificates.provided.secretName"),
    ],
)
def test_values_that_cannot_be_are_named(values: JSON, complaint: str, which: str) -> None:
    with pytest.raises(RenderError, match=complaint):
        render(values, which=which)


def test_the_guard_needs_a_kubernetes_that_has_it() -> None:
    with pytest.raises(RenderError, match=r"guard\.enabled needs Kubernetes 1\.30"):
        render({"guard": {"enabled": True}}, kubernetes="1.29")


@pytest.mark.parametrize("which", ["oldest", "newest"])
def test_a_kubernetes_that_is_too_old_is_refused(which: str) -> None:
    with pytest.raises(RenderError, match=r">=1\.28"):
        render(kubernetes="1.27", which=which)


@pytest.mark.parametrize("which", ["oldest", "newest"])
def test_the_chart_can_be_a_part_of_another(which: str, tmp_path: Path) -> None:
    (tmp_path / "charts").mkdir()
    (tmp_path / "charts" / "model-injector").symlink_to(CHART)
    dependency = {"name": "model-injector", "version": ">=0", "condition": "model-injector.enabled"}
    chart = {"apiVersion": "v2", "name": "platform", "version": "1.0.0", "dependencies": [dependency]}
    (tmp_path / "Chart.yaml").write_text(yaml.safe_dump(chart))
    values: JSON = {"global": {"region": "eu-west-1"}, "model-injector": {"enabled": True, **BUCKET}}
    assert (
        render({**values, "bucket": "of-the-parent"}, chart=tmp_path, which=which).settings["bucket"] == "my-ml-bucket"
    )
    values["model-injector"]["enabled"] = False
    assert not render(values, chart=tmp_path, which=which)


def test_two_releases_share_no_name_once_the_clusters_own_is_another() -> None:
    one = render(EVERYTHING)
    other = render(
        {**EVERYTHING, "webhook": {"name": "second"}, "annotationPrefix": "second.example.com"},
        release="second",
        namespace="second",
    )
    assert not {name(each) for each in one.values()} & {name(each) for each in other.values()}
    same_namespace = render({"webhook": {"name": "second"}}, release="second")
    assert not {name(each) for each in one.values()} & {name(each) for each in same_namespace.values()}


def name(content: JSON) -> tuple[Any, ...]:
    return content["kind"], content["metadata"].get("namespace"), content["metadata"]["name"]


def test_only_what_belongs_to_the_cluster_has_no_namespace() -> None:
    of_the_cluster = {"ClusterRole", "ClusterRoleBinding", "MutatingWebhookConfiguration", "ValidatingAdmissionPolicy"}
    for (kind, _), content in render(EVERYTHING).items():
        assert ("namespace" not in content["metadata"]) == (
            kind in (of_the_cluster | {"ValidatingAdmissionPolicyBinding"})
        ), kind


def test_namespaces_that_are_left_out_stay_so_whatever_a_user_writes() -> None:
    expressions = render(CASES["selectors"]).entry["namespaceSelector"]["matchExpressions"]
    assert expressions[0] == {
        "key": "kubernetes.io/metadata.name",
        "operator": "NotIn",
        "values": ["kube-system", "kube-node-lease", "model-injector"],
    }
    assert len(expressions) == 3  # all of them have to hold


def test_namespaces_can_be_opted_in_instead() -> None:
    expressions = render({"webhook": {"optIn": True}}).entry["namespaceSelector"]["matchExpressions"]
    assert expressions[1] == {"key": "model-injector.io/inject", "operator": "In", "values": ["true"]}
    assert expressions[0]["operator"] == "NotIn"


def test_where_cel_is_off_a_label_selects() -> None:
    entry = render({"webhook": {"select": "label"}}).entry
    assert "matchConditions" not in entry
    assert entry["objectSelector"] == {
        "matchExpressions": [{"key": "model-injector.io/inject", "operator": "In", "values": ["true"]}]
    }


@pytest.mark.parametrize(
    ("values", "verbs"), [("auto", ["get", "patch"]), ("cert-manager", ["get"]), ("provided", ["get"])]
)
def test_only_who_writes_may_write(values: str, verbs: list[str]) -> None:
    case = {"certificates": {"mode": values, "provided": {"secretName": "x"}}}
    rendered = render(case)
    (rule,) = rendered.one("ClusterRole")["rules"]
    assert rule["verbs"] == verbs
    roles = [each for (kind, _), each in rendered.items() if kind == "Role" and "hook" not in str(each["metadata"])]
    assert bool(roles) == (values == "auto")


def test_cert_manager_issues_for_the_service_and_injects_its_bundle() -> None:
    rendered = render(CASES["cert-manager"])
    certificate = rendered["Certificate", "model-injector-tls"]
    assert certificate["spec"]["dnsNames"] == ["model-injector.model-injector.svc"]
    issuer = rendered["Issuer", certificate["spec"]["issuerRef"]["name"]]
    assert issuer["spec"]["ca"]["secretName"] == rendered["Certificate", "model-injector-ca"]["spec"]["secretName"]
    configuration = rendered.one("MutatingWebhookConfiguration")
    assert configuration["metadata"]["annotations"] == {
        "cert-manager.io/inject-ca-from": "model-injector/model-injector-tls"
    }
    assert "caBundle" not in str(configuration)
    assert mounted(rendered) == certificate["spec"]["secretName"]
    ours = render(CASES["an issuer of one's own"])
    assert ours.one("Certificate")["spec"]["issuerRef"] == {"name": "ours", "kind": "ClusterIssuer"}


def mounted(rendered: Rendered) -> Any:
    """The Secret behind the folder that the webhook reads its certificate from."""
    (volume,) = [each for each in rendered.pod["spec"]["volumes"] if each["name"] == "tls"]
    (mount,) = [each for each in rendered.container["volumeMounts"] if each["name"] == "tls"]
    assert Settings.model_fields["server"].default.tls_cert.parent == Path(mount["mountPath"])
    assert volume["secret"]["defaultMode"] == 0o400
    return volume["secret"]["secretName"]


def test_a_provided_certificate_is_mounted_and_its_bundle_set() -> None:
    rendered = render(CASES["provided"])
    assert mounted(rendered) == "ours"
    assert rendered.entry["clientConfig"]["caBundle"] == "UEVN"
    assert "Secret" not in {kind for kind, _ in rendered}


def test_with_the_nodes_network_the_name_service_still_works() -> None:
    spec = render(CASES["host network"]).pod["spec"]
    assert (spec["hostNetwork"], spec["dnsPolicy"]) == (True, "ClusterFirstWithHostNet")


def test_a_digest_wins_over_a_tag() -> None:
    assert render(CASES["digest"]).container["image"] == "x/y@sha256:" + "0" * 64
    assert render({"image": {"repository": "x/y", "tag": "1"}}).container["image"] == "x/y:1"


def test_the_pod_has_what_the_values_say() -> None:
    rendered = render(CASES["pod"])
    assert rendered.one("Deployment")["metadata"]["annotations"] == {"a": "b"}
    assert rendered.pod["metadata"]["annotations"]["c"] == "d"
    assert rendered.pod["metadata"]["labels"]["e"] == "f"
    assert rendered.container["env"] == [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}]
    assert {"name": "more", "mountPath": "/more"} in rendered.container["volumeMounts"]
    assert {"name": "more", "emptyDir": {}} in rendered.pod["spec"]["volumes"]
    assert rendered.pod["spec"]["dnsPolicy"] == "Default"
    assert rendered.pod["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert rendered.pod["spec"]["tolerations"] == [{"operator": "Exists"}]
    assert rendered.pod["spec"]["affinity"] == {"nodeAffinity": {}}
    assert "priorityClassName" not in rendered.pod["spec"]
    assert rendered.one("PodDisruptionBudget")["spec"]["maxUnavailable"] == "50%"
    assert rendered["Service", "model-injector"]["metadata"]["annotations"] == {"g": "h"}


def test_an_account_carries_the_role_of_irsa() -> None:
    account = render(CASES["irsa"]).one("ServiceAccount")
    assert account["metadata"]["annotations"] == {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/x"}


def test_an_account_of_ones_own_is_bound() -> None:
    rendered = render(CASES["an account of one's own"])
    assert rendered.pod["spec"]["serviceAccountName"] == "ours"
    assert rendered.one("RoleBinding")["subjects"][0]["name"] == "ours"
    assert rendered.one("ClusterRoleBinding")["subjects"][0]["name"] == "ours"


def test_an_autoscaler_has_the_number_of_replicas_to_itself() -> None:
    rendered = render(EVERYTHING)
    assert "replicas" not in rendered.one("Deployment")["spec"]
    assert rendered.one("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == "model-injector"


def test_a_change_of_settings_starts_new_pods() -> None:
    one, other = (render({"prefix": prefix}).pod["metadata"]["annotations"] for prefix in ("a", "b"))
    assert one["checksum/settings"] != other["checksum/settings"]


def notes(values: JSON) -> str:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("KUBECONFIG", "/dev/null")
        text = helm("install", "x", CHART, "--namespace", "y", "--dry-run=client", values={**BUCKET, **values})
    return " ".join(text.partition("NOTES:")[2].split())


@pytest.mark.parametrize(
    ("values", "warning"),
    [
        (
            CASES["one replica that may be missing"],
            "WARNING: one replica. While it restarts or moves, annotated pods come up",
        ),
        ({"replicaCount": 1}, "WARNING: one replica. While it restarts or moves, no annotated pod can be created"),
        ({"autoscaling": {"enabled": True, "minReplicas": 1}}, "WARNING: one replica"),
        ({"webhook": {"failurePolicy": "Ignore"}}, "WARNING: webhook.failurePolicy is Ignore"),
        ({"podDisruptionBudget": {"enabled": False}}, "WARNING: without a PodDisruptionBudget"),
        ({"certificates": {"mode": "provided", "provided": {"secretName": "x"}}}, "provided.caBundle is empty"),
        ({"test": {"namespace": "y"}}, "WARNING: the release's own namespace, y, is left out"),
    ],
)
def test_the_notes_warn_of_weak_choices(values: JSON, warning: str) -> None:
    assert warning in notes(values)


def test_the_notes_say_how_to_try_it_and_warn_of_nothing_by_default() -> None:
    text = notes({})
    assert "helm test -n y x" in text
    assert "kubectl -n y rollout status deployment/x-model-injector" in text
    assert "WARNING" not in text


def documented() -> list[str]:
    page = (CHART.parents[1] / "docs" / "install.md").read_text()
    return re.findall(r"```yaml\n# values\.yaml\n(.*?)```", page, re.DOTALL)


@pytest.mark.parametrize("number", range(len(documented())))
def test_the_values_of_the_install_page_can_be(number: int) -> None:
    values = yaml.safe_load(documented()[number])
    rendered = render(values)
    assert rendered.settings["bucket"] == values["bucket"]


def test_the_values_that_the_install_page_names_exist() -> None:
    page = (CHART.parents[1] / "docs" / "install.md").read_text()
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    of_settings = {setting.path for setting in declared()}
    groups = "|".join(name for name, value in values.items() if isinstance(value, dict))
    for path in re.findall(rf"[`\s=](?=(?:{groups})\.[a-z])([a-zA-Z]+(?:\.[a-zA-Z]+)+)\b(?!\.io|/)", page):
        if path in of_settings:
            continue
        found = values
        for key in path.split("."):
            found = found[key]
