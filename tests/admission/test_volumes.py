"""Volumes that a model cannot be written to, and paths at which or inside of which it cannot be mounted."""

from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest
from pydantic import ValidationError

from tests.admission.conftest import JSON, Injector, annotated, asking
from webhook.kubernetes import volumes

BY_KUBELET: list[JSON] = [
    {"configMap": {"name": "conf"}},
    {"secret": {"secretName": "conf"}},
    {"downwardAPI": {"items": []}},
    {"projected": {"sources": []}},
]
READ_ONLY: list[JSON] = [
    {"image": {"reference": "registry.example.com/data:1"}},
    {"persistentVolumeClaim": {"claimName": "m", "readOnly": True}},
    {"csi": {"driver": "secrets-store.csi.k8s.io", "readOnly": True}},
    {"nfs": {"server": "nfs.example.com", "path": "/", "readOnly": True}},
]
WRITABLE: list[JSON] = [
    {"emptyDir": {}},
    {"persistentVolumeClaim": {"claimName": "m"}},
    {"persistentVolumeClaim": {"claimName": "m", "readOnly": False}},
    {"csi": {"driver": "d"}},
    {"nfs": {"server": "nfs.example.com", "path": "/"}},
    {"hostPath": {"path": "/models", "type": "DirectoryOrCreate"}},
    {"hostPath": {"path": "/models", "type": ["not a type"]}},
    {"ephemeral": {"volumeClaimTemplate": {}}},
    {"photonPersistentDisk": {"pdID": "of a type that the webhook does not know"}},
]


def kind(source: Any) -> str:
    return "-".join(source) if isinstance(source, dict) else ""


@pytest.mark.parametrize("source", [*BY_KUBELET, *READ_ONLY], ids=kind)
def test_a_download_into_a_volume_that_is_read_only_is_refused(injected: Injector, source: JSON) -> None:
    message = injected.refusal(asking({"volumes": [{"name": "data", **source}]}, volume="data"))
    assert message.startswith("annotation model-injector.io/volume: 'data' is not allowed")
    assert f"{kind(source)} " in message
    assert "read-only" in message or "readOnly" in message


@pytest.mark.parametrize("host_path", ["File", "Socket", "CharDevice", "BlockDevice"])
def test_a_download_into_a_file_of_the_node_is_refused(injected: Injector, host_path: str) -> None:
    volume = {"name": "data", "hostPath": {"path": "/x", "type": host_path}}
    assert f"its hostPath is a {host_path}" in injected.refusal(asking({"volumes": [volume]}, volume="data"))


def test_a_download_into_an_empty_dir_of_huge_pages_is_refused(injected: Injector) -> None:
    volume = {"name": "data", "emptyDir": {"medium": "HugePages-2Mi"}}
    assert "huge pages" in injected.refusal(asking({"volumes": [volume]}, volume="data"))


@pytest.mark.parametrize("group", ["containers", "initContainers"])
def test_a_download_into_a_block_device_is_refused(injected: Injector, group: str) -> None:
    device = {"name": "format", "volumeDevices": [{"name": "data", "devicePath": "/dev/xvda"}]}
    spec: JSON = {"containers": [{"name": "app"}], "volumes": [{"name": "data", "persistentVolumeClaim": {}}]}
    spec[group] = [*spec.get(group, []), device]
    assert "container format uses it as a block device" in injected.refusal(asking(spec, volume="data"))


@pytest.mark.parametrize("source", WRITABLE, ids=kind)
def test_a_download_into_any_other_volume_is_admitted(injected: Injector, source: JSON) -> None:
    assert injected(asking({"volumes": [{"name": "data", **source}]}, volume="data"))


def test_the_refusal_of_a_volume_names_the_entry_of_models(injected: Injector) -> None:
    models = "[{model: a, version: '1'}, {model: b, version: '1', volume: data}]"
    spec = {"volumes": [{"name": "data", **BY_KUBELET[0]}]}
    assert "annotation model-injector.io/models[1].volume: 'data'" in injected.refusal(annotated(spec, models=models))


# Mounts inside of other mounts


def nested(source: JSON, *, path: str = "/data/models", **mount: Any) -> JSON:
    """A pod that mounts a volume at /data and asks for the model inside of that."""
    container = {"name": "app", "volumeMounts": [{"name": "data", "mountPath": "/data", **mount}]}
    return asking({"containers": [container], "volumes": [{"name": "data", **source}]}, mount_path=path)


def paths_of(pod: JSON) -> list[str]:
    return [mount["mountPath"] for mount in pod["spec"]["containers"][0]["volumeMounts"]]


@pytest.mark.parametrize("source", BY_KUBELET, ids=kind)
@pytest.mark.parametrize("mount", [{}, {"readOnly": True}], ids=kind)
def test_a_model_inside_of_a_volume_that_kubelet_fills_is_admitted(
    injected: Injector, source: JSON, mount: JSON
) -> None:
    assert paths_of(injected(nested(source, **mount))) == ["/data", "/data/models"]


@pytest.mark.parametrize("sub_path", [{"subPath": "conf"}, {"subPathExpr": "$(POD_NAME)"}], ids=kind)
def test_a_model_inside_of_a_sub_path_of_such_a_volume_is_refused(injected: Injector, sub_path: JSON) -> None:
    message = injected.refusal(nested(BY_KUBELET[0], **sub_path))
    assert "with a subPath of a read-only volume, so nothing can be mounted inside it at /data/models" in message


@pytest.mark.parametrize("source", READ_ONLY, ids=kind)
def test_a_model_inside_of_any_other_read_only_volume_is_refused(injected: Injector, source: JSON) -> None:
    message = injected.refusal(nested(source))
    assert "at /data, read-only, so nothing can be mounted inside it at /data/models" in message


@pytest.mark.parametrize("source", WRITABLE, ids=kind)
def test_a_model_inside_of_a_writable_volume_is_admitted_unless_its_mount_is_read_only(
    injected: Injector, source: JSON
) -> None:
    assert paths_of(injected(nested(source))) == ["/data", "/data/models"]
    assert "read-only" in injected.refusal(nested(source, readOnly=True))


def test_only_the_innermost_mount_has_to_hold_the_mount_point(injected: Injector) -> None:
    for inner, is_admitted in (({}, True), ({"readOnly": True}, False)):
        pod = nested({"emptyDir": {}}, path="/data/cache/models", readOnly=True)
        pod["spec"]["containers"][0]["volumeMounts"].append({"name": "cache", "mountPath": "/data/cache/", **inner})
        pod["spec"]["volumes"].append({"name": "cache", "emptyDir": {}})
        assert (injected.decide(pod).decision == "injected") == is_admitted


def test_a_mount_of_a_volume_that_the_pod_lacks_counts_as_writable(injected: Injector) -> None:
    pod = nested({"emptyDir": {}})
    del pod["spec"]["volumes"]
    assert injected(pod)


def test_a_volume_is_examined_once_for_many_containers(injected: Injector, monkeypatch: pytest.MonkeyPatch) -> None:
    examine = Mock(wraps=volumes.why_not_inside)
    monkeypatch.setattr("webhook.admission.containers.why_not_inside", examine)
    mounts = [{"name": "data", "mountPath": "/data"}]
    spec = {
        "containers": [{"name": f"c{number}", "volumeMounts": mounts} for number in range(9)],
        "volumes": [{"name": "data", "csi": {"driver": "d"}}],
    }
    assert injected(asking(spec, mount_path="/data/models"))
    examine.assert_called_once()


# Paths


RESERVED = [
    "/proc",
    "/proc/models",
    "/sys",
    "/sys/fs/cgroup/models",
    "/dev",
    "/dev/models",
    "/dev/shmem",  # noqa: S108 - a path in containers, as those below
    "/run/secrets/kubernetes.io/serviceaccount",
    "/var/run/secrets/kubernetes.io/serviceaccount",
    "/var/run/secrets/kubernetes.io/serviceaccount/models",
    "/var/run/secrets/eks.amazonaws.com/serviceaccount",
    "/run/secrets/pods.eks.amazonaws.com",
    "/etc/hosts",
    "/etc/resolv.conf",
]
SHM = "/dev/shm"  # noqa: S108
PARENTS = [SHM, "/var", "/run", "/var/run", "/run/secrets", "/var/run/secrets/kubernetes.io", "/etc"]
FREE = [
    f"{SHM}/models",
    "/run/models",
    "/var/run/models",
    "/etc/app",
    "/processes",
    "/devices/proc",
    "/var/lib",
    "/srv",
]


@pytest.mark.parametrize("annotation", ["mount-path", "model-path"])
@pytest.mark.parametrize("path", RESERVED)
def test_a_reserved_path_is_refused_with_the_reason(injected: Injector, annotation: str, path: str) -> None:
    message = injected.refusal(asking(None, **{annotation.replace("-", "_"): path}))
    assert message.startswith(f"annotation model-injector.io/{annotation}: '{path}' is not allowed; write another path")
    assert ", because " in message


@pytest.mark.parametrize("path", PARENTS)
def test_a_model_is_mounted_inside_of_a_folder_with_mounts_of_others_but_not_over_it(
    injected: Injector, path: str
) -> None:
    assert paths_of(injected(asking(mount_path=path))) == [f"{path}/my-model-1.2.3"]
    assert f"{path}' is not allowed" in injected.refusal(asking(model_path=path))


@pytest.mark.parametrize("path", FREE)
def test_other_paths_are_admitted(injected: Injector, path: str) -> None:
    assert paths_of(injected(asking(mount_path=path))) == [path]
    assert paths_of(injected(asking(model_path=path))) == [path]


def test_a_reserved_path_in_models_is_refused_by_its_entry(injected: Injector) -> None:
    models = "[{model: a, version: '1'}, {model: b, version: '1', modelPath: /proc/b}]"
    assert "annotation model-injector.io/models[1].modelPath: '/proc/b'" in injected.refusal(annotated(models=models))


@pytest.mark.parametrize("path", RESERVED)
def test_a_reserved_path_is_no_value_of_the_setting(configured: Callable[..., Injector], path: str) -> None:
    with pytest.raises(ValidationError, match="no model can be mounted at"):
        configured(defaults={"mountPath": path})


@pytest.mark.parametrize("path", [*PARENTS, *FREE])
def test_other_paths_are_values_of_the_setting(configured: Callable[..., Injector], path: str) -> None:
    (mount,) = paths_of(configured(defaults={"mountPath": path})(asking()))
    assert mount.startswith(path)
