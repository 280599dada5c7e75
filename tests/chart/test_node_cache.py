"""The node cache: the driver that the chart runs on each node, and what it may do there and in the cluster."""

from pathlib import Path

import pytest

from tests.admission.conftest import Injector, annotated
from tests.chart.cases import CASES
from tests.chart.conftest import JSON, NAMESPACE, Rendered, RenderError, render
from tests.chart.test_cel import verdicts
from tests.chart.test_controller import selectors
from tests.support.reviews import apply
from webhook.cli import main
from webhook.node_cache.credentials import AGENT_AUDIENCE, STS_AUDIENCE
from webhook.settings import Settings
from webhook.settings.loading import load
from webhook.strategies.node_cache import DRIVER, NodeCacheSettings

NAME = "model-injector-node-cache"
ACCOUNT = {"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}
AS_DRIVER: JSON = {"authenticationSource": "driver"}


def running(values: JSON | None = None, **settings: object) -> Rendered:
    """What is rendered with a node cache, and these settings of its strategy."""
    return render(
        {"nodeCache": {"enabled": True, **(values or {})}, "config": {"strategies": {"node-cache": settings}}}
    )


def template(rendered: Rendered) -> JSON:
    found: JSON = rendered.of_node_cache("DaemonSet")["spec"]["template"]
    return found


def container(rendered: Rendered) -> JSON:
    (found,) = template(rendered)["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def test_without_the_node_cache_there_is_nothing_of_it(default: Rendered) -> None:
    assert not default.node_cache
    rendered = render(CASES["everything"])
    assert not rendered.node_cache
    assert "node_cache" not in str(rendered.one("PrometheusRule"))
    assert "relabelings" not in str(rendered.one("ServiceMonitor"))


def test_with_the_node_cache_there_is_this_and_nothing_else(default: Rendered) -> None:
    rendered = running()
    assert set(rendered.node_cache) == {
        ("CSIDriver", DRIVER),
        *((kind, NAME) for kind in ("ServiceAccount", "DaemonSet", "Service", "NetworkPolicy")),
        *((kind, NAME) for kind in ("ClusterRole", "ClusterRoleBinding")),
    }
    assert rendered.keys() - rendered.node_cache.keys() == default.keys()


def test_it_needs_no_catalog() -> None:
    assert running().settings.get("catalog") == {"mode": "none"}


@pytest.mark.parametrize("settings", [{}, {"authenticationSource": "pod"}])
def test_it_may_get_service_accounts_for_the_roles_of_irsa_and_nothing_else(settings: JSON) -> None:
    rendered = running(**settings)
    assert rendered.of_node_cache("ClusterRole")["rules"] == [
        {"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["get"]}
    ]
    binding = rendered.of_node_cache("ClusterRoleBinding")
    assert binding["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME}
    assert binding["subjects"] == [ACCOUNT]
    assert template(rendered)["spec"]["automountServiceAccountToken"] is True


def test_with_a_role_of_its_own_it_has_no_right_no_token_and_asks_for_none() -> None:
    rendered = running(**AS_DRIVER)
    assert {kind for kind, _ in rendered.node_cache} == {
        "CSIDriver",
        "ServiceAccount",
        "DaemonSet",
        "Service",
        "NetworkPolicy",
    }
    assert template(rendered)["spec"]["automountServiceAccountToken"] is False
    assert rendered.of_node_cache("ServiceAccount")["automountServiceAccountToken"] is False
    assert not {"tokenRequests", "serviceAccountTokenInSecrets"} & rendered["CSIDriver", DRIVER]["spec"].keys()


def test_the_accounts_of_webhook_and_controller_gain_nothing() -> None:
    without = render(CASES["controller"])
    rendered = render({**CASES["controller"], "nodeCache": {"enabled": True}})
    for kind in ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"):
        assert {key: each for key, each in rendered.items() if key[0] == kind and key not in rendered.node_cache} == {
            key: each for key, each in without.items() if key[0] == kind
        }


@pytest.mark.parametrize(("kubernetes", "secrets"), [("1.34", {}), ("1.35", {"serviceAccountTokenInSecrets": True})])
def test_kubelet_tells_the_driver_who_mounts_and_calls_it_for_volumes_of_pods_alone(
    kubernetes: str, secrets: JSON
) -> None:
    rendered = render({"nodeCache": {"enabled": True}}, kubernetes=kubernetes)
    assert rendered["CSIDriver", DRIVER]["spec"] == {
        "attachRequired": False,
        "fsGroupPolicy": "None",
        "podInfoOnMount": True,
        "requiresRepublish": False,
        "storageCapacity": False,
        "volumeLifecycleModes": ["Ephemeral"],
        "tokenRequests": [{"audience": STS_AUDIENCE}, {"audience": AGENT_AUDIENCE}],
        **secrets,
    }


def test_pods_of_restricted_namespaces_may_have_its_volumes_on_openshift() -> None:
    labels = running()["CSIDriver", DRIVER]["metadata"]["labels"]
    assert labels["security.openshift.io/csi-ephemeral-volume-profile"] == "restricted"


def test_the_pod_is_this() -> None:
    rendered = running()
    pod, only = template(rendered)["spec"], container(rendered)
    assert only["args"] == [
        "node-cache",
        "--config",
        "/etc/model-injector/settings/settings.yaml",
        "--worker-user=65532",
    ]
    assert only["image"] == rendered.container["image"]
    assert only["env"] == [{"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]
    assert only["ports"] == [{"name": "ops", "containerPort": 8080, "protocol": "TCP"}]
    for probe, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
        assert only[probe]["httpGet"] == {"path": path, "port": "ops"}
    assert only["resources"] == {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}}
    assert pod["serviceAccountName"] == NAME
    assert pod["priorityClassName"] == "system-node-critical"
    assert pod["enableServiceLinks"] is False
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert pod["nodeSelector"] == {"kubernetes.io/os": "linux"}


def test_an_update_takes_a_tenth_of_the_nodes_at_a_time() -> None:
    assert running().of_node_cache("DaemonSet")["spec"]["updateStrategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": "10%"},
    }


def test_no_pod_waits_for_a_node_of_fargate() -> None:
    affinity = template(running())["spec"]["affinity"]["nodeAffinity"]
    (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert term["matchExpressions"] == [
        {"key": "eks.amazonaws.com/compute-type", "operator": "NotIn", "values": ["fargate"]}
    ]


def test_it_has_the_rights_that_mounts_need_and_a_root_that_it_cannot_write() -> None:
    pod = template(running())["spec"]
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert container(running())["securityContext"] == {"privileged": True, "readOnlyRootFilesystem": True}
    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["runAsGroup"] == 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}


def test_the_worker_can_read_the_tokens_of_the_service_account() -> None:
    """kubelet gives tokens to the user of the containers, root, and to the group fsGroup."""
    rendered = running()
    (user,) = [each for each in container(rendered)["args"] if each.startswith("--worker-user=")]
    assert user == f"--worker-user={template(rendered)['spec']['securityContext']['fsGroup']}"


def test_the_command_has_the_arguments_of_the_pod(capsys: pytest.CaptureFixture[str]) -> None:
    name, *arguments = container(running())["args"]
    with pytest.raises(SystemExit) as exit_status:
        main([name, *arguments, "--help"])
    assert exit_status.value.code == 0
    assert "the CSI driver" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("settings", "cache", "kubelet"),
    [
        ({}, NodeCacheSettings().folder, NodeCacheSettings().kubelet_folder),
        ({"folder": "/mnt/nvme"}, "/mnt/nvme", "/var/lib/kubelet"),
        ({"kubeletFolder": "/opt/kubelet/"}, "/var/lib/model-injector", "/opt/kubelet"),
    ],
)
def test_it_sees_these_folders_of_the_node_under_the_same_paths(settings: JSON, cache: str, kubelet: str) -> None:
    rendered = running(**settings)
    volumes = {each["name"]: each for each in template(rendered)["spec"]["volumes"]}
    mounts = {each["name"]: each for each in container(rendered)["volumeMounts"]}
    assert volumes.keys() == mounts.keys()
    assert volumes.pop("settings") == {"name": "settings", "configMap": {"name": "model-injector"}}
    assert mounts.pop("settings")["mountPath"] == "/etc/model-injector/settings"
    assert {each["hostPath"]["path"]: each["hostPath"]["type"] for each in volumes.values()} == {
        f"{kubelet}/pods": "Directory",
        f"{kubelet}/plugins_registry": "Directory",
        cache: "DirectoryOrCreate",
    }
    for name, mount in mounts.items():
        assert mount["mountPath"] == volumes[name]["hostPath"]["path"]
    shared = {each["mountPath"]: each["mountPropagation"] for each in mounts.values() if "mountPropagation" in each}
    assert shared == {f"{kubelet}/pods": "Bidirectional"}


def test_the_folders_are_those_that_the_driver_reads(tmp_path: Path) -> None:
    rendered = render(CASES["node cache"])
    (tmp_path / "settings.yaml").write_text(rendered.settings_file)
    options = load(tmp_path / "settings.yaml").of_strategies["node-cache"]
    paths = {each["mountPath"] for each in container(rendered)["volumeMounts"]}
    assert {options.folder, f"{options.kubelet_folder}/pods"} <= paths


def test_the_pod_has_what_the_values_say() -> None:
    rendered = render(CASES["node cache"])
    metadata, pod = template(rendered)["metadata"], template(rendered)["spec"]
    assert metadata["annotations"]["a"] == "b"
    assert metadata["labels"]["c"] == "d"
    assert metadata["labels"]["app.kubernetes.io/component"] == "node-cache"
    assert container(rendered)["resources"]["limits"] == {"memory": "1Gi"}
    assert {"name": "HTTPS_PROXY", "value": "http://proxy:3128"} in container(rendered)["env"]
    assert {"name": "more", "mountPath": "/more"} in container(rendered)["volumeMounts"]
    assert {"name": "more", "emptyDir": {}} in pod["volumes"]
    assert pod["imagePullSecrets"] == [{"name": "pull"}]
    assert pod["nodeSelector"] == {"kubernetes.io/os": "linux", "gpu": "yes"}
    assert not {"affinity", "tolerations", "priorityClassName"} & pod.keys()
    assert rendered.of_node_cache("DaemonSet")["spec"]["updateStrategy"] == {"type": "OnDelete"}
    assert rendered.of_node_cache("ServiceAccount")["metadata"]["annotations"] == {
        "eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/cache"
    }


def test_an_account_of_ones_own_has_the_right() -> None:
    rendered = running({"serviceAccount": {"create": False, "name": "ours"}})
    assert not [name for kind, name in rendered.node_cache if kind == "ServiceAccount"]
    assert template(rendered)["spec"]["serviceAccountName"] == "ours"
    assert rendered.of_node_cache("ClusterRoleBinding")["subjects"] == [{**ACCOUNT, "name": "ours"}]


def test_a_change_of_settings_starts_the_driver_anew() -> None:
    one, other = (template(running(**each))["metadata"]["annotations"] for each in (AS_DRIVER, {}))
    assert one["checksum/settings"] != other["checksum/settings"]


def test_no_selector_of_another_component_matches_its_pods_and_none_of_it_theirs() -> None:
    component = {"app.kubernetes.io/component": "webhook"}
    values = {
        **CASES["a controller of nothing"],
        "nodeCache": {"enabled": True, "podLabels": component},
        "commonLabels": component,
    }
    rendered = render(values)
    its_own = template(rendered)["metadata"]["labels"]
    selected = rendered.of_node_cache("DaemonSet")["spec"]["selector"]["matchLabels"]
    assert selected.items() <= its_own.items()
    for key, selector in selectors(rendered).items():
        assert (selector.items() <= its_own.items()) == (key in rendered.node_cache), key
    for labels in (
        rendered.pod["metadata"]["labels"],
        rendered.of_controller("Deployment")["spec"]["template"]["metadata"]["labels"],
        rendered["Pod", "model-injector-test"]["metadata"]["labels"],
    ):
        assert not selected.items() <= labels.items()


def test_the_network_lets_in_nothing_but_health_and_metrics() -> None:
    assert running().of_node_cache("NetworkPolicy")["spec"] == {
        "podSelector": running().of_node_cache("DaemonSet")["spec"]["selector"],
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": [{"port": "ops", "protocol": "TCP"}]}],
    }
    spec = render(CASES["node cache"]).of_node_cache("NetworkPolicy")["spec"]
    assert (spec["policyTypes"], spec["egress"]) == (["Ingress", "Egress"], [{"ports": [{"port": 443}]}])


def test_two_releases_share_no_object_but_the_driver_of_which_a_cluster_has_one() -> None:
    one = running()
    other = render({"nodeCache": {"enabled": True}, "webhook": {"name": "second"}}, release="second")
    assert one.node_cache.keys() & other.node_cache.keys() == {("CSIDriver", DRIVER)}


def test_the_longest_name_of_a_release_leaves_room_for_the_suffix() -> None:
    rendered = render({"nodeCache": {"enabled": True}, "fullnameOverride": "x" * 63})
    assert {len(name) for kind, name in rendered.node_cache if kind == "Service"} == {61}


def test_what_is_fetched_ahead_needs_the_catalog() -> None:
    prefetch = [{"models": ["llama-*"]}]
    with pytest.raises(RenderError, match=r"node-cache\.prefetch needs the catalog: set config\.catalog\.mode to s3"):
        running(prefetch=prefetch)
    assert running(prefetch=[], followAliases=True).node_cache
    assert render({"config": {"strategies": {"node-cache": {"prefetch": prefetch}}}})


def test_the_guard_lets_a_pod_with_the_volume_through_and_refuses_one_without_it() -> None:
    asked = annotated(model="my-model", version="1.2.3", strategy="node-cache")
    changed = apply(asked, Injector(Settings(bucket="my-ml-bucket")).decide(asked).operations)
    assert verdicts(changed) == []
    changed["spec"]["volumes"] = []
    (message,) = verdicts(changed)
    assert "by the strategy node-cache and lacks a volume of the type csi" in message


PEERS: JSON = {"peers": {"enabled": True, "secretName": "shared-key"}}


def test_nodes_serve_each_other_only_with_a_key() -> None:
    rendered = running(PEERS, peers={"port": 9000})
    service, policy = rendered["Service", f"{NAME}-peers"], rendered["NetworkPolicy", f"{NAME}-peers"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == selectors(rendered)["Service", NAME]
    assert [port["port"] for port in service["spec"]["ports"]] == [9000]
    (rule,) = policy["spec"]["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": service["spec"]["selector"]}}]
    assert {"name": "peers", "containerPort": 9000, "protocol": "TCP"} in container(rendered)["ports"]
    assert {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}} in container(rendered)["env"]
    (secret,) = (each["secret"] for each in template(rendered)["spec"]["volumes"] if each["name"] == "peers")
    assert secret == {"secretName": "shared-key", "defaultMode": 0o440}
    peers = rendered.settings["strategies"]["node-cache"]["peers"]
    (mount,) = (each for each in container(rendered)["volumeMounts"] if each["name"] == "peers")
    assert peers == {
        "service": f"{NAME}-peers.{NAMESPACE}.svc",
        "keyFile": f"{mount['mountPath']}/key",
        "port": 9000,
    }
    assert "peers" not in str(running().settings)


@pytest.mark.parametrize(
    ("values", "settings", "problem"),
    [
        ({"peers": {"enabled": True}}, {}, r"set nodeCache\.peers\.secretName"),
        (PEERS, {"peers": {"service": "x"}}, r"peers\.service follows from the release"),
    ],
)
def test_peers_need_a_secret_and_the_chart_knows_the_rest(values: JSON, settings: JSON, problem: str) -> None:
    with pytest.raises(RenderError, match=problem):
        running(values, **settings)
