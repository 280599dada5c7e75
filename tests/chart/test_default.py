"""What `helm install … --set config.bucket=…` puts into a cluster."""

import re

import pytest

from tests.chart.conftest import NAMESPACE, Rendered, is_hook, render

NAME = "model-injector"
ME = {"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}


def test_there_is_this_and_nothing_else(default: Rendered) -> None:
    assert {key for key, content in default.items() if not is_hook(content)} == {
        ("ServiceAccount", NAME),
        ("ClusterRole", NAME),
        ("ClusterRoleBinding", NAME),
        ("Role", NAME),
        ("RoleBinding", NAME),
        ("Secret", "model-injector-ca"),
        ("ConfigMap", NAME),
        ("Service", NAME),
        ("Service", "model-injector-metrics"),
        ("Deployment", NAME),
        ("PodDisruptionBudget", NAME),
        ("NetworkPolicy", NAME),
        ("MutatingWebhookConfiguration", NAME),
    }


def test_the_webhook_may_do_this_and_nothing_else(default: Rendered) -> None:
    """Objects by name, each: not one more than its own two. Reviews have no name, and change nothing."""
    bindings = [default.one("ClusterRoleBinding"), default.one("RoleBinding")]
    assert [each["subjects"] for each in bindings] == [[ME], [ME]]
    assert [(each["roleRef"]["kind"], each["roleRef"]["name"]) for each in bindings] == [
        ("ClusterRole", NAME),
        ("Role", NAME),
    ]
    assert default.one("ClusterRole")["rules"] == [
        {
            "apiGroups": ["admissionregistration.k8s.io"],
            "resources": ["mutatingwebhookconfigurations"],
            "resourceNames": [NAME],
            "verbs": ["get", "patch"],
        },
        {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
        {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
    ]
    assert default.one("Role")["metadata"]["namespace"] == NAMESPACE
    assert default.one("Role")["rules"] == [
        {
            "apiGroups": [""],
            "resources": ["secrets"],
            "resourceNames": ["model-injector-ca"],
            "verbs": ["get", "patch", "create"],
        }
    ]


def test_with_an_inventory_it_may_also_list_claims_and_drivers(default: Rendered) -> None:
    rules = render({"config": {"inventory": {"enabled": True}}}).one("ClusterRole")["rules"]
    assert [rule for rule in rules if rule not in default.one("ClusterRole")["rules"]] == [
        {"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["list"]},
        {"apiGroups": ["storage.k8s.io"], "resources": ["csidrivers"], "verbs": ["list"]},
    ]


def test_the_test_brings_rights_for_its_own_time_alone(default: Rendered) -> None:
    hooks = {key: content for key, content in default.items() if is_hook(content)}
    name = "model-injector-test"
    assert set(hooks) == {("ServiceAccount", name), ("Role", name), ("RoleBinding", name), ("Pod", name)}
    assert hooks["Role", name]["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}]
    assert hooks["Role", name]["metadata"]["namespace"] == "default"
    for content in hooks.values():
        annotations = content["metadata"]["annotations"]
        assert annotations["helm.sh/hook"] == "test"
        assert annotations["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"


def test_there_are_two_replicas_and_a_new_one_is_ready_before_an_old_one_goes(default: Rendered) -> None:
    spec = default.one("Deployment")["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


def test_a_drain_takes_one_replica_at_a_time(default: Rendered) -> None:
    budget = default.one("PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] == 1
    assert "minAvailable" not in budget
    assert budget["selector"] == default.one("Deployment")["spec"]["selector"]


def test_replicas_are_spread_over_nodes_and_zones(default: Rendered) -> None:
    constraints = default.pod["spec"]["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in constraints] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    for each in constraints:
        assert each["maxSkew"] == 1
        assert each["labelSelector"] == default.one("Deployment")["spec"]["selector"]
        assert each["matchLabelKeys"] == ["pod-template-hash"]


def test_the_pod_is_important_to_the_cluster(default: Rendered) -> None:
    assert default.pod["spec"]["priorityClassName"] == "system-cluster-critical"


def test_kubelet_probes_the_plain_port(default: Rendered) -> None:
    paths = {kind: default.container[kind]["httpGet"] for kind in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert paths == {
        "startupProbe": {"path": "/healthz", "port": "ops"},
        "livenessProbe": {"path": "/healthz", "port": "ops"},
        "readinessProbe": {"path": "/readyz", "port": "ops"},
    }
    assert {each["name"]: each["containerPort"] for each in default.container["ports"]} == {
        "webhook": 8443,
        "ops": 8080,
    }


def test_it_asks_for_what_it_takes_and_is_bounded_in_memory_alone(default: Rendered) -> None:
    assert default.container["resources"] == {
        "requests": {"cpu": "100m", "memory": "128Mi"},
        "limits": {"memory": "256Mi"},
    }


def test_the_pod_passes_the_restricted_standard_on_a_root_that_it_cannot_write(default: Rendered) -> None:
    assert default.pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert default.pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert default.container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & default.pod["spec"].keys()
    assert [each["name"] for each in default.pod["spec"]["volumes"]] == ["settings"]


def test_a_pod_told_to_stop_has_the_time_to_drain(default: Rendered) -> None:
    drain = default.settings["server"]["drain"]
    assert default.pod["spec"]["terminationGracePeriodSeconds"] >= drain + 5 + 10


def test_its_environment_has_nothing_of_other_services(default: Rendered) -> None:
    assert default.pod["spec"]["enableServiceLinks"] is False


def test_the_network_lets_in_tls_and_what_operators_ask_and_nothing_else(default: Rendered) -> None:
    policy = default.one("NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress"]
    assert policy["ingress"] == [
        {"ports": [{"port": "webhook", "protocol": "TCP"}]},
        {"ports": [{"port": "ops", "protocol": "TCP"}]},
    ]
    assert policy["podSelector"] == default.one("Deployment")["spec"]["selector"]


def test_the_service_leads_to_the_webhooks_pods_alone(default: Rendered) -> None:
    service = default["Service", NAME]["spec"]
    assert service["ports"] == [{"name": "https", "port": 443, "targetPort": "webhook", "protocol": "TCP"}]
    assert service["selector"] == default.one("Deployment")["spec"]["selector"]["matchLabels"]
    assert service["selector"].items() <= default.pod["metadata"]["labels"].items()
    assert not service["selector"].items() <= default["Pod", "model-injector-test"]["metadata"]["labels"].items()


def test_metrics_of_replicas_that_are_not_ready_can_be_read(default: Rendered) -> None:
    assert default["Service", "model-injector-metrics"]["spec"]["publishNotReadyAddresses"] is True


def test_the_webhook_configuration_is_this(default: Rendered) -> None:
    assert default.one("MutatingWebhookConfiguration")["metadata"]["name"] == NAME
    assert default.entry == {
        "name": "pods.model-injector.io",
        "admissionReviewVersions": ["v1"],
        "clientConfig": {"service": {"name": NAME, "namespace": NAMESPACE, "path": "/mutate", "port": 443}},
        "failurePolicy": "Fail",
        "matchPolicy": "Equivalent",
        "reinvocationPolicy": "Never",
        "sideEffects": "None",
        "timeoutSeconds": 5,
        "rules": [
            {
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "operations": ["CREATE"],
                "resources": ["pods"],
                "scope": "Namespaced",
            }
        ],
        "namespaceSelector": {
            "matchExpressions": [
                {
                    "key": "kubernetes.io/metadata.name",
                    "operator": "NotIn",
                    "values": ["kube-system", "kube-node-lease", NAMESPACE],
                },
                {"key": "model-injector.io/inject", "operator": "NotIn", "values": ["false"]},
            ]
        },
        "objectSelector": {},
        "matchConditions": default.entry["matchConditions"],
    }


def test_workloads_are_looked_at_and_never_held_up(default: Rendered) -> None:
    entry = default.workloads_entry
    assert entry["name"] == "workloads.model-injector.io"
    assert entry["failurePolicy"] == "Ignore"
    assert entry["sideEffects"] == "None"
    assert entry["reinvocationPolicy"] == "Never"
    assert entry["timeoutSeconds"] == 5
    same = ("admissionReviewVersions", "clientConfig", "matchPolicy", "namespaceSelector")
    assert {key: entry[key] for key in same} == {key: default.entry[key] for key in same}
    assert "objectSelector" not in entry  # it is about labels of pods
    assert [(rule["apiGroups"], rule["operations"], rule["resources"]) for rule in entry["rules"]] == [
        (["apps"], ["CREATE", "UPDATE"], ["deployments", "statefulsets", "daemonsets"]),
        (["batch"], ["CREATE", "UPDATE"], ["jobs", "cronjobs"]),
    ]


def test_api_servers_ask_it_after_the_meshes_and_before_the_one_that_gives_credentials(default: Rendered) -> None:
    name = default.one("MutatingWebhookConfiguration")["metadata"]["name"]
    before = [
        "gatekeeper-mutating-webhook-configuration",
        "istio-sidecar-injector",
        "kyverno-resource-mutating-webhook-cfg",
        "linkerd-proxy-injector-webhook-config",
    ]
    assert sorted([name, "pod-identity-webhook", *before]) == [*before, name, "pod-identity-webhook"]


def test_the_image_is_the_one_of_this_version(default: Rendered) -> None:
    assert default.container["image"] == "model-injector:0.1.0"


@pytest.mark.parametrize("kind", ["Secret", "MutatingWebhookConfiguration"])
def test_what_the_replicas_fill_in_is_not_in_the_chart_to_be_fought_over(default: Rendered, kind: str) -> None:
    content = default.one(kind)
    assert "data" not in content
    assert "stringData" not in content
    assert not re.search("caBundle", str(content))
