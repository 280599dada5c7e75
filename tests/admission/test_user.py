"""The user of the init container: admissible, with a network, and able to write to its volume."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.admission.conftest import JSON, Injector, asking

RANGED = 1000920000
CLAIM = {"volumes": [{"name": "models", "persistentVolumeClaim": {"claimName": "models"}}]}


def running_as(*users: int | None, **spec: Any) -> JSON:
    """A spec whose app containers run as these users."""
    named = [{"name": f"app{index}"} for index in range(len(users))]
    contexts = [{} if user is None else {"securityContext": {"runAsUser": user}} for user in users]
    return {"containers": [each | context for each, context in zip(named, contexts, strict=True)], **spec}


def with_scc(pod: JSON, scc: str = "restricted-v2") -> JSON:
    pod["metadata"]["annotations"]["openshift.io/scc"] = scc
    return pod


def context_of(injector: Injector, pod: JSON) -> JSON:
    """The securityContext of the init container that the webhook adds."""
    (found,) = [each for each in injector(pod)["spec"]["initContainers"] if each["name"] == "fetch-my-model"]
    context: JSON = found["securityContext"]
    return context


def user_of(injector: Injector, pod: JSON) -> int | None:
    context = context_of(injector, pod)
    assert context["runAsNonRoot"] is True
    user: int | None = context.get("runAsUser")
    return user


def test_the_init_container_runs_as_the_user_that_openshift_gave_the_application(injected: Injector) -> None:
    assert user_of(injected, with_scc(asking(running_as(RANGED)))) == RANGED
    assert user_of(injected, asking(running_as(RANGED))) == RANGED
    assert user_of(injected, asking({"securityContext": {"runAsUser": RANGED}})) == RANGED


def test_a_containers_user_comes_before_that_of_the_pod(injected: Injector) -> None:
    assert user_of(injected, asking(running_as(1001, securityContext={"runAsUser": 1000}))) == 1001
    assert user_of(injected, asking(running_as(None, securityContext={"runAsUser": 1000}))) == 1000


def test_of_several_users_the_first_counts_that_gets_the_model(injected: Injector) -> None:
    spec = running_as(None, 1001, 1002)
    assert user_of(injected, asking(spec)) == 1001
    assert user_of(injected, asking(spec, containers="app2,app1")) == 1001
    assert user_of(injected, asking(spec, containers="app2")) == 1002
    assert user_of(injected, asking(spec, containers="app0")) == 1001


def test_a_container_that_names_no_user_does_not_hide_the_users_of_others_on_openshift(injected: Injector) -> None:
    spec = {**running_as(RANGED), "initContainers": [{"name": "warm-up"}]}
    assert user_of(injected, with_scc(asking(spec, containers="warm-up"))) == RANGED


def test_a_mesh_proxys_user_is_not_the_applications(injected: Injector) -> None:
    spec = running_as(None)
    spec["containers"].insert(0, {"name": "istio-proxy", "securityContext": {"runAsUser": 1337}})
    assert user_of(injected, asking(spec)) == 65532


@pytest.mark.parametrize("spec", [running_as(0), {"securityContext": {"runAsUser": 0}}])
def test_the_init_container_does_not_run_as_root_where_it_need_not(injected: Injector, spec: JSON) -> None:
    assert user_of(injected, asking(spec)) == 65532


@pytest.mark.parametrize(
    ("scc", "user"), [("restricted", None), ("restricted-v3", None), ("hostnetwork-v2", None), ("anyuid", 65532)]
)
def test_without_any_user_the_field_is_left_out_where_openshift_fills_it_in(
    injected: Injector, scc: str, user: int | None
) -> None:
    assert user_of(injected, with_scc(asking(), scc)) == user


def test_the_setting_null_leaves_the_field_out(configured: Callable[..., Injector]) -> None:
    injector = configured(fetch={"runAsUser": None})
    assert user_of(injector, asking()) is None
    assert user_of(injector, asking(running_as(1000))) == 1000
    assert user_of(injector, asking({"securityContext": {"runAsUser": 1000}})) == 1000
    assert user_of(injector, asking(running_as(0))) is None


def test_the_setting_null_refuses_a_pod_whose_user_is_root(configured: Callable[..., Injector]) -> None:
    message = configured(fetch={"runAsUser": None}).refusal(asking({"securityContext": {"runAsUser": 0}}))
    assert "runAsUser is 0" in message
    assert "fetch.runAsUser" in message


def test_a_user_of_the_settings_holds_where_the_pod_names_none(configured: Callable[..., Injector]) -> None:
    injector = configured(fetch={"runAsUser": 2000})
    assert user_of(injector, asking()) == 2000
    assert user_of(injector, asking(running_as(1000))) == 1000


# Claims


def warnings_of(injector: Injector, pod: JSON) -> tuple[str, ...]:
    return injector.decide(pod).warnings


@pytest.mark.parametrize(
    "source", [{"persistentVolumeClaim": {"claimName": "m"}}, {"ephemeral": {}}, {"csi": {"driver": "d"}}]
)
def test_a_new_claim_without_an_fs_group_is_a_warning_that_names_it(injected: Injector, source: JSON) -> None:
    volumes = {"volumes": [{"name": "models", **source}]}
    (warning,) = warnings_of(injected, asking(volumes, volume="models"))
    assert "volume models as user 65532" in warning
    assert "fsGroup: 65532" in warning
    assert not warnings_of(injected, asking({**volumes, "securityContext": {"fsGroup": 0}}, volume="models"))
    assert not warnings_of(
        injected, asking({**volumes, "securityContext": {"supplementalGroups": [5]}}, volume="models")
    )


def test_the_applications_user_writes_to_its_claim(injected: Injector) -> None:
    pod = asking({**running_as(1000), **CLAIM}, volume="models")
    assert user_of(injected, pod) == 1000
    assert "as user 1000" in warnings_of(injected, pod)[0]


def test_root_writes_to_the_claim_of_an_application_that_runs_as_root(injected: Injector) -> None:
    pod = asking({**running_as(0), **CLAIM}, volume="models")
    context = context_of(injected, pod)
    assert (context["runAsUser"], context["runAsNonRoot"]) == (0, False)
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert not warnings_of(injected, pod)
    with_group = asking({**running_as(0, securityContext={"fsGroup": 1000}), **CLAIM}, volume="models")
    assert user_of(injected, with_group) == 65532
    assert not warnings_of(injected, with_group)


@pytest.mark.parametrize("source", [{"hostPath": {"path": "/models"}}, {"nfs": {"server": "s", "path": "/"}}])
def test_a_volume_that_keeps_its_owner_is_a_warning_that_names_the_user(injected: Injector, source: JSON) -> None:
    spec = {"volumes": [{"name": "models", **source}], "securityContext": {"fsGroup": 1000}}
    (warning,) = warnings_of(injected, asking(spec, volume="models"))
    assert "runAsUser" in warning
    assert "fsGroup" not in warning
    assert not warnings_of(injected, asking({**running_as(1000), **spec}, volume="models"))


def test_an_empty_dir_is_no_warning(injected: Injector) -> None:
    spec = {"volumes": [{"name": "models", "emptyDir": {}}]}
    assert not warnings_of(injected, asking(spec, volume="models"))


# Meshes


ISTIO = {"sidecar.istio.io/status": '{"initContainers":["istio-validation"],"containers":["istio-proxy"]}'}
LINKERD = {"linkerd.io/proxy-version": "edge-25.11.1"}
CONSUL = {"consul.hashicorp.com/redirect-traffic-config": "{}"}
KUMA = {"kuma.io/sidecar-injected": "true"}


def meshed(
    proxy: str,
    annotations: dict[str, str],
    *init_containers: str,
    user: int | None = None,
    app: JSON | None = None,
    **spec: Any,
) -> JSON:
    """A pod with a mesh's proxy among its containers."""
    context = {} if user is None else {"securityContext": {"runAsUser": user}}
    pod = asking(
        {
            "containers": [{"name": "app", **(app or {})}, {"name": proxy, **context}],
            "initContainers": [{"name": name} for name in init_containers],
            **spec,
        }
    )
    pod["metadata"]["annotations"] |= annotations
    return pod


@pytest.mark.parametrize(
    ("pod", "user"),
    [
        (meshed("istio-proxy", ISTIO, "istio-validation"), 1337),
        (meshed("istio-proxy", {}, "istio-validation", user=1337), 1337),
        (meshed("istio-proxy", ISTIO, user=1000650001), 1000650001),
        (meshed("istio-proxy", ISTIO | {"openshift.io/scc": "restricted-v2"}, user=1337), 1337),
        (meshed("istio-proxy", ISTIO, "istio-validation", user=0), 1337),
        (meshed("linkerd-proxy", LINKERD, "linkerd-network-validator", user=2102), 2102),
        (meshed("linkerd-proxy", LINKERD), 2102),
        (meshed("linkerd-proxy", LINKERD, user=4000), 4000),
        (meshed("consul-dataplane", CONSUL, "consul-connect-inject-init", user=5995), 5995),
        (meshed("kuma-sidecar", KUMA, "kuma-validation", user=5678), 5678),
    ],
)
def test_the_proxys_user_downloads_where_a_cni_plugin_redirects_the_traffic(
    injected: Injector, pod: JSON, user: int
) -> None:
    assert user_of(injected, pod) == user
    assert user_of(injected, injected(pod)) == user
    assert injected(pod)["spec"]["initContainers"][0]["name"] == "fetch-my-model"


@pytest.mark.parametrize(
    "pod",
    [
        meshed("istio-proxy", ISTIO, "istio-init"),
        meshed("istio-proxy", ISTIO | {"sidecar.istio.io/interceptionMode": "NONE"}),
        meshed("istio-proxy", {}),
        meshed("istio-proxy", {"sidecar.istio.io/status": '{"initContainers":null,"containers":["istio-proxy"]}'}),
        meshed("app2", {"ambient.istio.io/redirection": "enabled"}),
        meshed("linkerd-proxy", LINKERD, "linkerd-init"),
        meshed("consul-dataplane", {"consul.hashicorp.com/connect-inject-status": "injected"}, "any"),
        meshed("kuma-sidecar", KUMA, "kuma-init"),
        meshed("kuma-sidecar", KUMA | {"kuma.io/transparent-proxying": "disabled"}),
        meshed("app2", {}, ""),
    ],
)
def test_a_mesh_that_redirects_later_or_never_changes_nothing(injected: Injector, pod: JSON) -> None:
    assert user_of(injected, pod) == 65532


@pytest.mark.parametrize(
    ("validator", "proxy", "annotations"),
    [
        ("istio-validation", "istio-proxy", ISTIO),
        ("linkerd-network-validator", "linkerd-proxy", LINKERD),
        ("kuma-validation", "kuma-sidecar", KUMA),
    ],
)
def test_a_native_sidecar_changes_nothing(
    injected: Injector, validator: str, proxy: str, annotations: dict[str, str]
) -> None:
    native = [{"name": validator}, {"name": proxy, "restartPolicy": "Always", "securityContext": {"runAsUser": 1337}}]
    pod = asking({"initContainers": native})
    pod["metadata"]["annotations"] |= annotations
    assert user_of(injected, pod) == 65532
    assert [each["name"] for each in injected(pod)["spec"]["initContainers"]] == [validator, proxy, "fetch-my-model"]


EXCLUDED = "traffic.sidecar.istio.io/excludeOutboundPorts"


@pytest.mark.parametrize("source", ["claim", "hostPath"])
def test_a_claim_of_another_user_is_refused_and_what_the_message_says_is_admitted(
    injected: Injector, source: str
) -> None:
    volume: JSON = CLAIM["volumes"][0] if source == "claim" else {"name": "models", "hostPath": {"path": "/m"}}
    app = {"securityContext": {"runAsUser": 1000}}
    pod = meshed("istio-proxy", ISTIO, "istio-validation", user=1337, app=app, volumes=[volume])
    pod["metadata"]["annotations"]["model-injector.io/volume"] = "models"
    message = injected.refusal(pod)
    assert "Istio redirects" in message
    assert "user 1337" in message
    assert "user 1000" in message
    assert f'{EXCLUDED}: "443"' in message
    assert ("fsGroup" in message) == (source == "claim")
    if source == "claim":
        pod["spec"]["securityContext"] = {"fsGroup": 1000}
        assert user_of(injected, pod) == 1337
        del pod["spec"]["securityContext"]
    pod["metadata"]["annotations"][EXCLUDED] = "80, 443"
    assert user_of(injected, pod) == 1000


@pytest.mark.parametrize(
    ("proxy", "annotations", "excluding", "is_admitted"),
    [
        ("istio-proxy", ISTIO, {"traffic.sidecar.istio.io/excludeOutboundPorts": "80"}, False),
        ("istio-proxy", ISTIO, {"traffic.sidecar.istio.io/excludeOutboundPorts": "80, 443"}, True),
        ("istio-proxy", ISTIO, {"traffic.sidecar.istio.io/excludeOutboundIPRanges": "0.0.0.0/0"}, True),
        ("istio-proxy", ISTIO, {"traffic.sidecar.istio.io/excludeOutboundIPRanges": ""}, False),
        ("istio-proxy", ISTIO, {"traffic.sidecar.istio.io/includeOutboundIPRanges": "10.96.0.0/12"}, True),
        ("istio-proxy", ISTIO, {"traffic.sidecar.istio.io/includeOutboundIPRanges": "*"}, False),
        ("linkerd-proxy", LINKERD, {"config.linkerd.io/skip-outbound-ports": "25,440-450"}, True),
        ("linkerd-proxy", LINKERD, {"config.linkerd.io/skip-outbound-ports": "25,444-450"}, False),
        ("linkerd-proxy", LINKERD, {"config.linkerd.io/skip-outbound-ports": "1-" + "9" * 5000}, False),
        ("linkerd-proxy", LINKERD, {"config.linkerd.io/skip-subnets": "0.0.0.0/0"}, True),
        ("consul-dataplane", CONSUL, {"consul.hashicorp.com/transparent-proxy-exclude-uids": "1000"}, True),
    ],
)
def test_a_claim_of_another_user_is_admitted_if_the_mesh_excludes_s3(
    injected: Injector, proxy: str, annotations: JSON, excluding: JSON, is_admitted: bool
) -> None:
    pod = meshed(proxy, annotations | excluding, app={"securityContext": {"runAsUser": 1000}}, volumes=CLAIM["volumes"])
    pod["metadata"]["annotations"]["model-injector.io/volume"] = "models"
    assert (injected.decide(pod).decision == "injected") == is_admitted


def test_kuma_excludes_a_user_and_its_dns(injected: Injector) -> None:
    pod = meshed("kuma-sidecar", KUMA, "kuma-validation", volumes=CLAIM["volumes"], securityContext={"runAsUser": 1000})
    pod["metadata"]["annotations"]["model-injector.io/volume"] = "models"
    annotation, value = "traffic.kuma.io/exclude-outbound-ports-for-uids", "tcp:443:1000,udp:53:1000"
    assert f'{annotation}: "{value}"' in injected.refusal(pod)
    pod["metadata"]["annotations"][annotation] = "tcp:443:1000"
    assert injected.refusal(pod)
    pod["metadata"]["annotations"][annotation] = f"tcp:80:1000, {value}"
    assert user_of(injected, pod) == 1000


def test_the_proxys_user_downloads_even_if_the_port_of_s3_is_excluded(injected: Injector) -> None:
    pod = meshed(
        "istio-proxy", ISTIO | {EXCLUDED: "443"}, "istio-validation", app={"securityContext": {"runAsUser": 1}}
    )
    assert user_of(injected, pod) == 1337


def test_the_port_in_the_message_is_that_of_the_endpoint(configured: Callable[..., Injector]) -> None:
    pod = meshed("istio-proxy", ISTIO, user=1337, volumes=CLAIM["volumes"], securityContext={"runAsUser": 0})
    pod["metadata"]["annotations"]["model-injector.io/volume"] = "models"
    for url, port in {
        "http://minio.minio": "80",
        "http://minio.minio:9000": "9000",
        "https://[::1]:9443/": "9443",
        "https://[::1]": "443",
    }.items():
        assert f'{EXCLUDED}: "{port}"' in configured(endpointUrl=url).refusal(pod)


def test_a_proxys_user_outside_of_openshifts_range_is_refused(injected: Injector) -> None:
    app = {"securityContext": {"runAsUser": RANGED}}
    pod = with_scc(meshed("istio-proxy", ISTIO, "istio-validation", app=app))
    assert "OpenShift only admits users of the namespace's range" in injected.refusal(pod)
    assert "OpenShift" in injected.refusal(with_scc(meshed("istio-proxy", ISTIO, "istio-validation")))
    low = meshed("istio-proxy", ISTIO, "istio-validation", app={"securityContext": {"runAsUser": 5000}})
    assert "OpenShift" in injected.refusal(with_scc(low))
    pod["metadata"]["annotations"][EXCLUDED] = "443"
    assert user_of(injected, pod) == RANGED


@pytest.mark.parametrize("user", [RANGED + 1, 1337])
def test_a_proxys_user_that_its_container_names_downloads_on_openshift(injected: Injector, user: int) -> None:
    """OpenShift admits a pod by one constraint, so what admits the proxy admits the init container."""
    app = {"securityContext": {"runAsUser": RANGED}}
    assert user_of(injected, with_scc(meshed("istio-proxy", ISTIO, "istio-validation", user=user, app=app))) == user


def test_openshift_with_an_scc_for_any_user_admits_the_proxys(injected: Injector) -> None:
    assert user_of(injected, with_scc(meshed("istio-proxy", ISTIO, "istio-validation"), "anyuid")) == 1337
