"""What values do."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.cases import CASES, EVERYTHING
from tests.chart.conftest import CHART, JSON, Rendered, RenderError, render
from webhook.settings import Settings


def test_two_releases_share_no_name_once_the_clusters_own_is_another() -> None:
    one = render(EVERYTHING)
    other = render(
        {**EVERYTHING, "webhook": {"name": "second"}, "config": {"annotationPrefix": "second.example.com"}},
        release="second",
        namespace="second",
    )
    assert not {name(each) for each in one.values()} & {name(each) for each in other.values()}
    same_namespace = render({"webhook": {"name": "second"}}, release="second")
    assert not {name(each) for each in one.values()} & {name(each) for each in same_namespace.values()}


def name(content: JSON) -> tuple[Any, ...]:
    return content["kind"], content["metadata"].get("namespace"), content["metadata"]["name"]


def test_a_dot_in_the_releases_name_is_none_in_its_services() -> None:
    services = [
        each["metadata"]["name"] for each in render({}, release="models.v1").values() if each["kind"] == "Service"
    ]
    assert services == ["models-v1-model-injector", "models-v1-model-injector-metrics"]


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
    assert rendered.one("ClusterRole")["rules"][0]["verbs"] == verbs
    roles = [each for (kind, _), each in rendered.items() if kind == "Role" and "hook" not in str(each["metadata"])]
    assert bool(roles) == (values == "auto")


def test_without_access_checks_for_previews_the_webhook_may_not_review_tokens() -> None:
    rendered = render({"config": {"preview": {"auth": "none", "force": True}}})
    assert len(rendered.one("ClusterRole")["rules"]) == 1


def test_previews_without_access_checks_need_force() -> None:
    with pytest.raises(RenderError, match=r"preview\.auth is none: every client in the cluster could ask"):
        render({"config": {"preview": {"auth": "none"}}})


def test_cert_manager_issues_for_the_service_and_injects_its_bundle() -> None:
    rendered = render(CASES["cert-manager"])
    certificate = rendered["Certificate", "model-injector-tls"]
    assert certificate["spec"]["dnsNames"] == ["model-injector.model-injector.svc"]
    issuer = rendered["Issuer", certificate["spec"]["issuerRef"]["name"]]
    assert issuer["spec"]["ca"]["secretName"] == rendered["Certificate", "model-injector-issuer"]["spec"]["secretName"]
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
    one, other = (render({"config": {"prefix": prefix}}).pod["metadata"]["annotations"] for prefix in ("a", "b"))
    assert one["checksum/settings"] != other["checksum/settings"]


def test_labels_that_meet_are_one_and_the_selectors_stay() -> None:
    common = {"team": "platform", "app.kubernetes.io/component": "x", "app.kubernetes.io/name": "x"}
    rendered = render({"commonLabels": common, "podLabels": {"team": "ml", "app.kubernetes.io/instance": "x"}})
    labels = rendered.pod["metadata"]["labels"]
    assert rendered.one("Deployment")["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert labels["team"] == "ml"


def test_a_second_release_has_entries_of_its_own() -> None:
    second = render({"webhook": {"name": "second", **CASES["kinds"]["webhook"]}})
    assert second.entry["name"] == "pods.second.model-injector.io"
    assert second.workloads_entry["name"] == "workloads.second.model-injector.io"
    assert second.kinds_entry["name"] == "kinds.second.model-injector.io"


@pytest.mark.parametrize("webhook", [{"workloads": {"enabled": False}}, {"select": "label"}])
@pytest.mark.parametrize("kinds", [{}, CASES["kinds"]["webhook"]["workloads"]])
def test_workloads_can_be_left_out_and_are_where_nothing_could_select_them(webhook: JSON, kinds: JSON) -> None:
    rendered = render({"webhook": {**webhook, "workloads": {**webhook.get("workloads", {}), **kinds}}})
    (entry,) = rendered.one("MutatingWebhookConfiguration")["webhooks"]
    assert entry["name"] == "pods.model-injector.io"
    assert "workloads" not in rendered.settings


def test_kinds_that_are_named_are_sent_and_never_held_up() -> None:
    rendered = render(CASES["kinds"])
    entry, kinds = rendered.kinds_entry, CASES["kinds"]["webhook"]["workloads"]["kinds"]
    assert entry["name"] == "kinds.model-injector.io"
    rest = entry.keys() - {"name", "rules", "matchConditions"}
    assert {key: entry[key] for key in rest} == {key: rendered.workloads_entry[key] for key in rest}
    assert entry["failurePolicy"] == "Ignore"
    assert entry["rules"] == [
        {
            "apiGroups": [kind["group"]],
            "apiVersions": [kind["version"]],
            "operations": ["CREATE", "UPDATE"],
            "resources": [kind["resource"]],
            "scope": "Namespaced",
        }
        for kind in kinds
    ]
    assert rendered.settings["workloads"] == {"kinds": kinds}
    assert [kind.model_dump() for kind in Settings(**rendered.settings).workloads.kinds] == kinds


@pytest.mark.parametrize("workloads", [{}, {"kinds": None}, {"kinds": []}])
def test_no_kind_is_named_by_default(workloads: JSON) -> None:
    rendered = render({"webhook": {"workloads": workloads}})
    assert len(rendered.one("MutatingWebhookConfiguration")["webhooks"]) == 2
    assert "workloads" not in rendered.settings


def test_the_kinds_to_uncomment_can_all_be_named() -> None:
    text = (CHART / "values.yaml").read_text()
    offered = re.findall(r"^    # - (\{group: .*\})$", text, re.MULTILINE)
    assert len(offered) > 10
    uncommented = re.sub(r"^    kinds: \[\]$", "    kinds:", text, flags=re.MULTILINE).replace("    # - {", "    - {")
    rendered = render({"webhook": {"workloads": yaml.safe_load(uncommented)["webhook"]["workloads"]}})
    assert len(rendered.kinds_entry["rules"]) == len(offered)


def test_the_test_asks_for_a_source_that_there_is() -> None:
    pod = render({"config": {"bucket": "", "sources": {"b": {"bucket": "two"}, "a": {"bucket": "one"}}}})[
        "Pod", "model-injector-test"
    ]
    assert json.loads(pod["spec"]["containers"][0]["args"][-1]) == {"model-injector.io/source": "a"}
    pod = render({"test": {"annotations": {"x": "y"}}})["Pod", "model-injector-test"]
    assert json.loads(pod["spec"]["containers"][0]["args"][-1]) == {"x": "y"}


@pytest.mark.parametrize(
    ("config", "version"),
    [
        ({}, "1.34"),
        ({"strategies": {"oci-image": {"clusterVersion": "1.36", "featureGate": True}}}, "1.36"),
        ({"strategies": {"oci-image": {"clusterVersion": ""}}}, ""),
        ({"strategies": {"s3-mount": {"allowOther": False}}}, "1.34"),
        ({"inventory": {"enabled": True}}, None),
    ],
)
def test_the_webhook_is_told_the_clusters_version_unless_it_reads_it_or_a_value_says_another(
    config: JSON, version: str | None
) -> None:
    strategies = render({"config": config}, kubernetes="v1.34.3-eks-1-34-8").settings.get("strategies", {})
    assert strategies.get("oci-image", {}).get("clusterVersion") == version
    for strategy, settings in config.get("strategies", {}).items():
        assert strategies[strategy].items() >= settings.items()
