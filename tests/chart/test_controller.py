"""The controller: what the chart runs, and the rights of its service account."""

import re
from collections import defaultdict
from itertools import combinations
from pathlib import Path

import pytest

from tests.chart.cases import CASES, LOADS
from tests.chart.conftest import CHART, JSON, NAMESPACE, Rendered, RenderError, helm, render, with_bucket
from webhook.settings.loading import load

NAME = "model-injector-controller"
ACCOUNT = {"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}
READ = "list watch"
CATALOG = {"mode": "s3"}
ARGO = {"group": "argoproj.io", "version": "v1alpha1", "resource": "rollouts"}


def running(webhook: JSON | None = None, **config: object) -> Rendered:
    """What is rendered with a controller, and these settings."""
    values = {"controller": {"enabled": True}, "config": {"catalog": CATALOG, "inventory": {"enabled": True}, **config}}
    return render({**values, "webhook": webhook} if webhook else values)


def rights(rendered: Rendered) -> dict[str, set[str]]:
    """Verbs by where they are granted, the resource, and its name if it is restricted to one: `apps jobs.batch`."""
    found = defaultdict[str, set[str]](set)
    for (kind, name), role in rendered.controller.items():
        if kind not in ("Role", "ClusterRole"):
            continue
        binding = rendered[f"{kind}Binding", name]
        assert binding["subjects"] == [ACCOUNT]
        assert binding["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}
        assert binding["metadata"].get("namespace") == role["metadata"].get("namespace")
        for rule in role["rules"]:
            (group,) = rule["apiGroups"]
            for resource in rule["resources"]:
                (suffix,) = rule.get("resourceNames", [""])
                where = role["metadata"].get("namespace", "cluster")
                what = ".".join(filter(None, (resource, group)))
                found["/".join(filter(None, (f"{where} {what}", suffix)))] |= set(rule["verbs"])
    return dict(found)


def expected(table: dict[str, str]) -> dict[str, set[str]]:
    return {what: set(verbs.split()) for what, verbs in table.items()}


ELECTION = {
    f"{NAMESPACE} leases.coordination.k8s.io": "create",
    f"{NAMESPACE} leases.coordination.k8s.io/{NAME}": "get update delete",
}
EVENTS = {"cluster events": "create patch"}
LOADING = {
    "cluster namespaces": READ,
    "cluster persistentvolumeclaims": f"{READ} create patch",
    **EVENTS,
}
JOBS = f"{READ} create delete"
REFERENCES = {"cluster tridentvolumereferences.trident.netapp.io": f"{READ} create"}
ROLLOUTS = {
    **{f"cluster {kind}.apps": f"{READ} patch" for kind in ("deployments", "statefulsets", "daemonsets")},
    "cluster persistentvolumeclaims": READ,
    **EVENTS,
}
PROGRESS = {"cluster pods": READ, "cluster pods/log": "get", **EVENTS}
USAGE = {
    "cluster pods": "list",
    **{
        f"cluster {kind}.apps": "list"
        for kind in ("deployments", "statefulsets", "daemonsets", "replicasets", "controllerrevisions")
    },
    "cluster jobs.batch": "list",
    "cluster cronjobs.batch": "list",
    "cluster rollouts.argoproj.io": "list",
}
CLEANING = {**USAGE, "cluster persistentvolumeclaims": "list delete"}
WITHDRAWALS = {**USAGE, **EVENTS}
ELSEWHERE = {"strategies": {"shared-volume": {"namespace": "models"}}}
UNSHARED = {"strategies": {"shared-volume": {"sharing": "none"}}}
CLEANS: JSON = {"controller": {"cleaning": {"enabled": True}}}


@pytest.mark.parametrize(
    ("config", "granted"),
    [
        ({}, {}),
        ({"loads": [LOADS["s3-mount"]]}, {**LOADING, "cluster persistentvolumes": f"{READ} create delete"}),
        ({"loads": [LOADS["shared-volume"]]}, {**LOADING, **REFERENCES, f"{NAMESPACE} jobs.batch": JOBS}),
        ({"loads": [LOADS["shared-volume"]], **ELSEWHERE}, {**LOADING, **REFERENCES, "models jobs.batch": JOBS}),
        ({"loads": [LOADS["shared-volume"]], **UNSHARED}, {**LOADING, "cluster jobs.batch": JOBS}),
        ({"loads": [LOADS["oci-image"]]}, {**LOADING, f"{NAMESPACE} jobs.batch": JOBS}),
        ({"loads": [LOADS["oci-image"]], **UNSHARED}, {**LOADING, f"{NAMESPACE} jobs.batch": JOBS}),
        (
            {"loads": [LOADS["oci-image"], LOADS["shared-volume"]], **ELSEWHERE},
            {**LOADING, **REFERENCES, f"{NAMESPACE} jobs.batch": JOBS, "models jobs.batch": JOBS},
        ),
        ({"controller": {"rollouts": {"enabled": True}}}, ROLLOUTS),
        ({"controller": {"progress": {"enabled": True}}}, PROGRESS),
        (CLEANS, CLEANING),
        ({"controller": {"withdrawals": {"enabled": True}}}, WITHDRAWALS),
        (
            {"loads": [LOADS["s3-mount"]], **CLEANS},
            {
                **LOADING,
                **CLEANING,
                "cluster persistentvolumeclaims": f"{READ} create patch delete",
                "cluster persistentvolumes": f"{READ} create delete",
            },
        ),
        (
            {"loads": [LOADS["shared-volume"]], **ELSEWHERE, **CLEANS},
            {
                **LOADING,
                **CLEANING,
                "cluster persistentvolumeclaims": f"{READ} create patch delete",
                "cluster tridentvolumereferences.trident.netapp.io": f"{READ} create delete",
                "models jobs.batch": f"{READ} create delete",
            },
        ),
        (
            {"loads": [LOADS["shared-volume"]], **UNSHARED, **CLEANS},
            {
                **LOADING,
                **CLEANING,
                "cluster persistentvolumeclaims": f"{READ} create patch delete",
                "cluster jobs.batch": f"{READ} create delete",
            },
        ),
        (
            {"loads": [LOADS["oci-image"]], **CLEANS},
            {
                **LOADING,
                **CLEANING,
                "cluster persistentvolumeclaims": f"{READ} create patch delete",
                f"{NAMESPACE} jobs.batch": f"{READ} create delete",
            },
        ),
        (
            {"controller": {"rollouts": {"enabled": True}, "progress": {"enabled": True}}},
            {**ROLLOUTS, **PROGRESS},
        ),
        ({"loads": None, "controller": None, "strategies": {}}, {}),
    ],
)
def test_the_controller_may_do_what_its_settings_need_and_nothing_else(config: JSON, granted: dict[str, str]) -> None:
    assert rights(running(**config)) == expected({**ELECTION, **granted})


def test_rights_of_several_features_are_those_of_each() -> None:
    """No combination grants more than its parts, and what one enables remains with another."""
    parts: list[JSON] = [
        {"loads": [LOADS["s3-mount"]]},
        {"controller": {"rollouts": {"enabled": True}}},
        {"controller": {"progress": {"enabled": True}}},
        {"controller": {"withdrawals": {"enabled": True}}},
    ]
    for one, other in combinations(parts, 2):
        both = {**one, **other}
        if "controller" in one and "controller" in other:
            both["controller"] = {**one["controller"], **other["controller"]}
        together = defaultdict[str, set[str]](set)
        for part in (one, other):
            for what, verbs in rights(running(**part)).items():
                together[what] |= verbs
        assert rights(running(**both)) == together


@pytest.mark.parametrize(
    ("workloads", "enabled", "granted"),
    [
        ({"kinds": [ARGO]}, True, True),
        ({"kinds": [ARGO]}, False, False),
        ({"kinds": [{**ARGO, "resource": "experiments"}]}, True, False),
        ({"kinds": [ARGO], "enabled": False}, True, False),
        ({}, True, False),
    ],
)
def test_argo_rollouts_are_restarted_where_the_webhook_pins_them(workloads: JSON, enabled: bool, granted: bool) -> None:
    found = rights(running({"workloads": workloads}, controller={"rollouts": {"enabled": enabled}}))
    assert found.get("cluster rollouts.argoproj.io") == ({"list", "watch", "patch"} if granted else None)


def test_no_right_is_for_everything_and_none_is_for_secrets_or_other_roles() -> None:
    rendered = render(CASES["controller"])
    for (kind, _), role in rendered.controller.items():
        for rule in role["rules"] if kind in ("Role", "ClusterRole") else []:
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert not {"secrets", "serviceaccounts", "configmaps", "pods/exec"} & set(rule["resources"])
            assert "rbac.authorization.k8s.io" not in rule["apiGroups"]


@pytest.mark.parametrize("feature", ["cleaning", "withdrawals"])
def test_who_uses_a_version_is_read_of_each_kind_that_the_webhook_pins(feature: str) -> None:
    kinds = [ARGO, {"group": "ray.io", "version": "v1", "resource": "rayclusters"}]
    found = rights(running({"workloads": {"kinds": kinds}}, controller={feature: {"enabled": True}}))
    assert (found["cluster rayclusters.ray.io"], found["cluster rollouts.argoproj.io"]) == ({"list"}, {"list"})


@pytest.mark.parametrize("feature", ["rollouts", "progress", "cleaning", "withdrawals"])
def test_the_rights_of_a_feature_name_its_setting(feature: str) -> None:
    values = {
        "controller": {"enabled": True},
        "config": {
            "catalog": CATALOG,
            "inventory": {"enabled": True},
            "controller": {feature: {"enabled": True}},
        },
    }
    text = helm("template", "x", CHART, values=with_bucket(values))
    assert f"# config.controller.{feature}: " in text
    assert len(re.findall(r"# config\.controller\.\w+: ", text)) == 1


def test_the_webhooks_account_gains_nothing() -> None:
    rendered, without = (
        render(CASES["controller"]),
        render({"config": {"catalog": CATALOG, "inventory": {"enabled": True}}}),
    )
    for kind in ("ClusterRole", "Role"):
        assert rendered.one(kind)["rules"] == without.one(kind)["rules"]
    assert rendered.one("ClusterRoleBinding") == without.one("ClusterRoleBinding")
    assert rendered.one("RoleBinding") == without.one("RoleBinding")


def test_without_the_controller_there_is_nothing_of_it(default: Rendered) -> None:
    assert not default.controller
    assert "lease" not in default.settings["controller"]


def test_with_the_controller_there_is_this_and_nothing_else() -> None:
    assert set(running().controller) == {
        (kind, NAME) for kind in ("ServiceAccount", "Deployment", "Service", "NetworkPolicy", "Role", "RoleBinding")
    }
    of_the_cluster = {(kind, NAME) for kind in ("ClusterRole", "ClusterRoleBinding")}
    in_another_namespace = {(kind, f"{NAME}-jobs") for kind in ("Role", "RoleBinding")}
    assert set(render(CASES["controller"]).controller) == {
        *running().controller,
        *of_the_cluster,
        *in_another_namespace,
    }


def selectors(rendered: Rendered) -> dict[tuple[str, str], JSON]:
    """The labels by which an object selects pods."""
    found = {}
    for (kind, name), content in rendered.items():
        spec = content.get("spec", {})
        if kind == "Service":
            found[kind, name] = spec["selector"]
        elif kind in ("Deployment", "DaemonSet", "PodDisruptionBudget"):
            found[kind, name] = spec["selector"]["matchLabels"]
        elif kind == "NetworkPolicy":
            found[kind, name] = spec["podSelector"]["matchLabels"]
    for number, constraint in enumerate(rendered.pod["spec"]["topologySpreadConstraints"]):
        found["constraint", str(number)] = constraint["labelSelector"]["matchLabels"]
    return found


@pytest.mark.parametrize("component", [{}, {"app.kubernetes.io/component": "webhook"}])
def test_no_selector_of_the_webhook_matches_the_controllers_pods_and_none_of_the_controller_the_webhooks(
    component: dict[str, str],
) -> None:
    values = {
        "controller": {"enabled": True, "podLabels": component},
        "commonLabels": component,
        "config": {"catalog": CATALOG},
    }
    rendered = render(values)
    webhook = rendered.pod["metadata"]["labels"]
    controller = rendered.of_controller("Deployment")["spec"]["template"]["metadata"]["labels"]
    found = selectors(rendered)
    assert {kind for kind, _ in found} == {
        "Service",
        "Deployment",
        "PodDisruptionBudget",
        "NetworkPolicy",
        "constraint",
    }
    for key, selector in found.items():
        is_of_controller = key in rendered.controller
        assert (selector.items() <= controller.items()) == is_of_controller, key
        assert (selector.items() <= webhook.items()) != is_of_controller, key
        assert not selector.items() <= rendered["Pod", "model-injector-test"]["metadata"]["labels"].items()


def test_an_upgrade_changes_no_selector_of_the_webhook(default: Rendered) -> None:
    """A Deployment's selector is immutable."""
    assert default.one("Deployment")["spec"]["selector"]["matchLabels"] == {
        "app.kubernetes.io/name": "model-injector",
        "app.kubernetes.io/instance": "model-injector",
        "app.kubernetes.io/component": "webhook",
    }


def test_the_controllers_pod_is_this() -> None:
    spec = running().of_controller("Deployment")["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    assert (spec["replicas"], spec["strategy"]) == (2, {"type": "RollingUpdate"})
    assert container["args"] == ["controller", "--config", "/etc/model-injector/settings/settings.yaml"]
    assert container["image"] == running().container["image"]
    assert container["ports"] == [{"name": "ops", "containerPort": 8080, "protocol": "TCP"}]
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "ops"}
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "ops"}
    assert pod["serviceAccountName"] == NAME
    assert pod["volumes"] == [{"name": "settings", "configMap": {"name": "model-injector"}}]
    assert "priorityClassName" not in pod
    for name in ("securityContext", "enableServiceLinks"):
        assert pod[name] == running().pod["spec"][name]
    assert container["securityContext"] == running().container["securityContext"]


def test_the_controllers_pod_has_what_the_values_say() -> None:
    rendered = render(CASES["controller"])
    template = rendered.of_controller("Deployment")["spec"]["template"]
    (container,) = template["spec"]["containers"]
    assert rendered.of_controller("Deployment")["spec"]["replicas"] == 3
    assert template["metadata"]["annotations"]["a"] == "b"
    assert template["metadata"]["labels"]["c"] == "d"
    assert container["resources"]["limits"] == {"memory": "1Gi"}
    assert {"name": "HTTPS_PROXY", "value": "http://proxy:3128"} in container["env"]
    assert {"name": "more", "mountPath": "/more"} in container["volumeMounts"]
    assert {"name": "more", "emptyDir": {}} in template["spec"]["volumes"]
    assert template["spec"]["imagePullSecrets"] == [{"name": "pull"}]
    assert template["spec"]["affinity"] == {"nodeAffinity": {}}
    assert template["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert template["spec"]["tolerations"] == [{"operator": "Exists"}]
    assert rendered.of_controller("ServiceAccount")["metadata"]["annotations"] == {
        "eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/controller"
    }


def test_an_account_of_ones_own_has_the_rights() -> None:
    account = {"create": False, "name": "ours"}
    config = {"catalog": CATALOG, "inventory": {"enabled": True}, **CLEANS}
    rendered = render({"controller": {"enabled": True, "serviceAccount": account}, "config": config})
    assert ("ServiceAccount", "ours") not in rendered
    assert rendered.of_controller("Deployment")["spec"]["template"]["spec"]["serviceAccountName"] == "ours"
    for kind in ("RoleBinding", "ClusterRoleBinding"):
        assert rendered.of_controller(kind)["subjects"] == [{**ACCOUNT, "name": "ours"}]


@pytest.mark.parametrize("config", [{"loads": [LOADS["s3-mount"]]}, {"loads": [LOADS["shared-volume"]]}, CLEANS])
def test_without_the_inventory_pods_would_mount_what_is_not_ready(config: JSON) -> None:
    with pytest.raises(RenderError, match=r"set config\.inventory\.enabled"):
        running(inventory={"enabled": False}, **config)


def test_images_and_rollouts_need_no_inventory() -> None:
    config: JSON = {"loads": [LOADS["oci-image"]], "controller": {"rollouts": {"enabled": True}}}
    assert running(inventory={"enabled": False}, **config).controller


def test_a_change_of_settings_starts_the_controller_anew() -> None:
    one, other = (
        running(**config).of_controller("Deployment")["spec"]["template"]["metadata"]["annotations"]
        for config in ({}, CLEANS)
    )
    assert one["checksum/settings"] != other["checksum/settings"]


def test_the_network_lets_in_nothing_but_health_and_metrics() -> None:
    assert running().of_controller("NetworkPolicy")["spec"] == {
        "podSelector": running().of_controller("Deployment")["spec"]["selector"],
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": [{"port": "ops", "protocol": "TCP"}]}],
    }
    spec = render(CASES["controller"]).of_controller("NetworkPolicy")["spec"]
    assert (spec["policyTypes"], spec["egress"]) == (["Ingress", "Egress"], [{"ports": [{"port": 443}]}])


def test_settings_that_follow_from_the_release_are_those_of_the_objects(tmp_path: Path) -> None:
    rendered = render(CASES["controller"])
    (tmp_path / "settings.yaml").write_text(rendered.settings_file)
    settings = load(tmp_path / "settings.yaml").controller
    role = rendered["Role", NAME]
    assert settings.namespace == role["metadata"]["namespace"] == NAMESPACE
    assert [settings.lease] in [rule.get("resourceNames") for rule in role["rules"]]
    assert settings.push.image == rendered.container["image"]
    assert ("ConfigMap", settings.push.config_map) in rendered
    assert settings.push.service_account == "model-pusher"
    assert settings.cleaning.s3_tag == "model-injector=expired"


def test_two_releases_in_one_namespace_have_an_election_each() -> None:
    values = {**CASES["controller"], "webhook": {"name": "second"}}
    one, other = render(CASES["controller"]), render(values, release="second")
    assert not one.keys() & other.keys()
    assert other.settings["controller"]["lease"] == "second-model-injector-controller"
    assert {key for key, each in other.controller.items() if "namespace" not in each["metadata"]} == {
        ("ClusterRole", "second-controller"),
        ("ClusterRoleBinding", "second-controller"),
    }


def test_the_longest_name_of_a_release_leaves_room_for_the_suffix() -> None:
    values = {**CASES["a controller of nothing"], "fullnameOverride": "x" * 63}
    assert {len(name) for kind, name in render(values).controller if kind == "Service"} == {61}


@pytest.mark.parametrize("catalog", [{}, {"mode": "none"}])
def test_a_controller_without_a_catalog_is_refused(catalog: JSON) -> None:
    with pytest.raises(RenderError, match=r"the controller reads the catalog: set config\.catalog\.mode to s3"):
        render({"controller": {"enabled": True}, "config": {"catalog": catalog}})


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"namespace": "x"}, "namespace"),
        ({"lease": "x"}, "lease"),
        ({"push": {"image": "x"}}, "push.image"),
        ({"push": {"configMap": "x"}}, "push.configMap"),
    ],
)
def test_a_setting_that_follows_from_the_release_cannot_be_set(settings: JSON, name: str) -> None:
    with pytest.raises(RenderError, match=f"config.controller.{name} follows from the release: remove it"):
        running(controller=settings)
