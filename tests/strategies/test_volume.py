"""`volume`: any volume that the platform names, read-only, with models in folders."""

from typing import Any

import kubernetes_validate
import msgspec
import pytest
from pydantic import ValidationError

from tests.admission.conftest import Injector, annotated
from webhook.admission.decide import inject
from webhook.catalog.lookup.exact import ExactCatalog
from webhook.inventory.inventory import Inventory
from webhook.kubernetes.pod import decode
from webhook.settings import Settings
from webhook.strategies.volume import VolumeSource

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:kubernetes_validate")
JSON = dict[str, Any]
CSI: JSON = {"csi": {"driver": "fsx.csi.aws.com", "volumeAttributes": {"dnsname": "fs-1.example.com"}}}
TEMPLATE: JSON = {
    "spec": {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "nvme",
        "resources": {"requests": {"storage": "1Ti"}},
        "dataSource": {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "models"},
    }
}
MODELS = "[{model: a, version: 1.0.0}, {model: my-org/b, version: 2.0.0, modelPath: /b}]"


def settings(source: JSON, **more: Any) -> Settings:
    return Settings(bucket="my-ml-bucket", strategies={"volume": {"source": source, **more}})


@pytest.mark.parametrize(
    ("source", "volume"),
    [
        (
            {"persistentVolumeClaim": {"claimName": "models"}},
            {"persistentVolumeClaim": {"claimName": "models", "readOnly": True}},
        ),
        (CSI, {"csi": {**CSI["csi"], "readOnly": True}}),
        (
            {"csi": {"driver": "d", "fsType": "ext4", "nodePublishSecretRef": {"name": "s"}, "readOnly": True}},
            {"csi": {"driver": "d", "fsType": "ext4", "nodePublishSecretRef": {"name": "s"}, "readOnly": True}},
        ),
        (
            {"ephemeral": {"volumeClaimTemplate": TEMPLATE}},
            {"ephemeral": {"volumeClaimTemplate": TEMPLATE}},
        ),
    ],
)
def test_all_models_are_folders_of_one_volume_that_is_mounted_read_only(source: JSON, volume: JSON) -> None:
    injector = Injector(settings(source, folder="/models/"))
    pod = injector(annotated(models=MODELS, strategy="volume"))
    kubernetes_validate.validate({**pod, "metadata": {"name": "a"}}, "1.37", strict=True)
    assert pod["spec"]["volumes"] == [{"name": "models-volume", **volume}]
    mounts = {mount["mountPath"]: mount for mount in pod["spec"]["containers"][0]["volumeMounts"]}
    common = {"name": "models-volume", "readOnly": True}
    assert mounts == {
        "/model-artifacts/a-1.0.0": {
            **common,
            "mountPath": "/model-artifacts/a-1.0.0",
            "subPath": "models/a-1.0.0",
        },
        "/b": {**common, "mountPath": "/b", "subPath": "models/my-org/b-2.0.0"},
    }
    assert injector.decide(pod).decision == "unchanged"


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ({"persistentVolumeClaim": {"claimName": "models"}, **CSI}, "this one has persistentVolumeClaim and csi"),
        ({"persistentVolumeClaim": {"claimName": "models", "readOnly": False}}, "Input should be True"),
        ({"persistentVolumeClaim": {}}, "claimName"),
        ({"persistentVolumeClaim": {"claimName": "Models"}}, "claimName"),
        ({"csi": {"drivr": "x"}}, "drivr"),
        ({"nfs": {"server": "x"}}, "nfs"),
        ({"ephemeral": {"volumeClaimTemplate": {}}}, "needs spec"),
    ],
)
def test_a_source_is_checked_when_settings_are_loaded(source: JSON, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        VolumeSource(**source)


def test_without_a_source_the_setting_is_named() -> None:
    refusal = Injector(settings({})).refusal(annotated(models=MODELS, strategy="volume"))
    assert refusal.endswith("volume: the setting strategies.volume.source is empty")


@pytest.mark.parametrize(("drivers", "strategy"), [(("fsx.csi.aws.com",), "volume"), ((), "s3-init")])
def test_an_inline_volume_needs_its_driver(drivers: tuple[str, ...], strategy: str) -> None:
    configured, inventory = settings(CSI), Inventory({}, frozenset(drivers), "1.36")
    pod = decode(msgspec.json.encode(annotated(model="a", version="1.0.0", strategy="volume, s3-init")))
    result = inject(pod, "apps", configured, ExactCatalog(configured), inventory)
    assert [model.strategy for model in result.models] == [strategy]
    assert bool(result.warnings) == (strategy == "s3-init")
