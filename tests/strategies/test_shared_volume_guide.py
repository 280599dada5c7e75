"""The guide's example of FSx for NetApp ONTAP: the rendered objects are its YAML, with its faults mended."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import pytest
import yaml

from tests.strategies.test_shared_volume import CLAIM, CREDENTIALS, FSX, JSON, rendered, settings_of
from tests.support.reviews import apply
from webhook.admission.decide import inject
from webhook.catalog.lookup.exact import ExactCatalog
from webhook.kubernetes.pod import decode

_JOB_LABELS = {"job-type": "fsxn-loader", "pvc": "some-model"}
GUIDE: Final[Mapping[str, JSON]] = {
    "StorageClass": {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "ontap-nas"},
        "provisioner": "csi.trident.netapp.io",
        "volumeBindingMode": "WaitForFirstConsumer",
        "parameters": {"backendType": "ontap-nas", "fsType": "ext4"},
        "allowVolumeExpansion": True,
        "reclaimPolicy": "Delete",
    },
    "TridentBackendConfig": {
        "apiVersion": "trident.netapp.io/v1",
        "kind": "TridentBackendConfig",
        "metadata": {"name": "svm1-nas", "namespace": "kube-system"},
        "spec": {
            "version": 1,
            "backendName": "svm1-nas",
            "storageDriverName": "ontap-nas",
            "managementLIF": "svm1.fs-0123.fsx.eu-west-1.amazonaws.com",
            "svm": "svm1",
            "aws": {"fsxFilesystemID": "fs-0123", "apiRegion": "eu-west-1"},
            "credentials": {"name": CREDENTIALS, "type": "awsarn"},
        },
    },
    "source claim": {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": "some-model",
            "namespace": "kube-system",
            "annotations": {"trident.netapp.io/shareToNamespace": "apps"},
        },
        "spec": {
            "storageClassName": "ontap-nas",
            "accessModes": ["ReadWriteMany"],
            "resources": {"requests": {"storage": "20Gi"}},
        },
    },
    "Job": {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "fsxn-loader-some-model", "namespace": "kube-system", "labels": _JOB_LABELS},
        "spec": {
            "backoffLimit": 1,
            "ttlSecondsAfterFinished": 30,
            "template": {
                "metadata": {"labels": _JOB_LABELS},
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [
                        {
                            "name": "loader",
                            "image": "peakcom/s5cmd",
                            "command": ["/bin/sh", "-c", "/s5cmd sync --delete s3://…/some-model/* /model"],
                            "volumeMounts": [{"name": "model", "mountPath": "/model"}],
                        }
                    ],
                    "volumes": [{"name": "model", "persistentVolumeClaim": {"claimName": "some-model"}}],
                },
            },
        },
    },
    "TridentVolumeReference": {
        "apiVersion": "trident.netapp.io/v1",
        "kind": "TridentVolumeReference",
        "metadata": {"name": "some-model"},
        "spec": {"pvcName": "some-model", "pvcNamespace": "kube-system"},
    },
    "claim": {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": "some-model",
            "namespace": "apps",
            "annotations": {"trident.netapp.io/shareFromPVC": "kube-system/some-model"},
        },
        "spec": {
            "storageClassName": "ontap-nas",
            "accessModes": ["ReadOnlyMany"],
            "resources": {"requests": {"storage": "20Gi"}},
        },
    },
    "pod": {
        "containers": [
            {
                "name": "app",
                "image": "some-app:1.2.3",
                "volumeMounts": [{"name": "data-volume", "mountPath": "/app/models/some-model"}],
            }
        ],
        "volumes": [{"name": "data-volume", "persistentVolumeClaim": {"claimName": "some-model"}}],
    },
}
"""The objects of the guide, with values for its variables."""

_VERSION = "one claim for each version: the guide's Job changes the files below the pods that read them"
_LABELS = "the labels by which the webhook finds a model's claims, and people its objects"
DIFFERENCES: Final[Mapping[str, Mapping[str, str]]] = {
    "StorageClass": {
        "metadata.labels": _LABELS,
        "parameters.fsType": "a file system for block devices; these volumes are NFS",
    },
    "TridentBackendConfig": {
        "metadata.labels": _LABELS,
        "metadata.namespace": "Trident sees backends in its own namespace only",
    },
    "source claim": {"metadata.name": _VERSION, "metadata.labels": _LABELS},
    "Job": {
        "metadata.name": _VERSION,
        "metadata.labels": _LABELS,
        "spec.template.metadata.labels": _LABELS,
        "spec.backoffLimit": "a second failure is no reason to give up a load that continues where it stopped",
        "spec.podFailurePolicy": "the loss of a node does not count as a failure",
        "spec.activeDeadlineSeconds": "a load that hangs ends",
        "spec.ttlSecondsAfterFinished": "30 seconds later, `kubectl wait` and people would find no Job",
        "spec.template.spec.serviceAccountName": "the guide's Job has no account with access to the bucket",
        "spec.template.spec.automountServiceAccountToken": "the load needs no access to the API",
        "spec.template.spec.securityContext": "a new volume may belong to root, and the loader does not run as root",
        "spec.template.spec.initContainers": "fetch.sh: pinned, verified, into a folder with the version in its path, "
        "and without `sync --delete`, which empties the folder if S3 does not answer",
        "spec.template.spec.containers": "the marker, which is written last",
        "spec.template.spec.volumes": _VERSION,
    },
    "TridentVolumeReference": {
        "metadata.name": _VERSION,
        "metadata.labels": _LABELS,
        "metadata.namespace": "`namespace:apps` in the guide lacks a space, so that the document is no YAML",
        "spec.pvcName": _VERSION,
    },
    "claim": {
        "metadata.name": _VERSION,
        "metadata.labels": _LABELS,
        "metadata.annotations.trident.netapp.io/shareFromPVC": _VERSION,
    },
    "pod": {
        "containers.0.env": "the application need not know the path",
        "containers.0.volumeMounts.0.name": "a name that is the webhook's",
        "containers.0.volumeMounts.0.mountPath": "the same path as by every other strategy, which has the version",
        "containers.0.volumeMounts.0.subPath": "the volume also contains the marker",
        "containers.0.volumeMounts.0.readOnly": "the access mode ReadOnlyMany alone mounts read-write",
        "volumes.0.name": "a name that is the webhook's",
        "volumes.0.persistentVolumeClaim.claimName": _VERSION,
        "volumes.0.persistentVolumeClaim.readOnly": "the access mode ReadOnlyMany alone mounts read-write",
    },
}
"""Where the rendered objects differ from the guide's, and why."""


def differences(guide: Any, ours: Any, path: str = "") -> Iterator[str]:
    """The paths of the fields that differ. A field that only one of them has is not followed further."""
    if isinstance(guide, list) and isinstance(ours, list) and len(guide) == len(ours):
        guide, ours = ({str(index): value for index, value in enumerate(each)} for each in (guide, ours))
    if not (isinstance(guide, dict) and isinstance(ours, dict)):
        if guide != ours:
            yield path
        return
    for key in guide.keys() | ours.keys():
        yield from differences(guide.get(key), ours.get(key), f"{path}.{key}".lstrip("."))


@pytest.fixture(scope="module")
def example() -> Mapping[str, JSON]:
    """The guide's example, rendered."""
    storage_class, backend, _, job = rendered("load", ["apps"], FSX).objects
    source, reference, claim = rendered("share", ["apps"], FSX).objects[2:]
    asked = {
        "metadata": {
            "annotations": {
                "model-injector.io/model": "some-model",
                "model-injector.io/version": "1.0.0",
                "model-injector.io/strategy": "shared-volume",
                "model-injector.io/mount-path": "/app/models",
            }
        },
        "spec": {"containers": [{"name": "app", "image": "some-app:1.2.3"}]},
    }
    settings = settings_of(FSX)
    result = inject(decode(msgspec.json.encode(asked)), "apps", settings, ExactCatalog(settings))
    objects = (storage_class, backend, source, job, reference, claim, apply(asked, result.operations)["spec"])
    return dict(zip(GUIDE, objects, strict=True))


@pytest.mark.parametrize("name", GUIDE)
def test_the_guides_example_is_rendered_with_its_faults_mended(example: Mapping[str, JSON], name: str) -> None:
    expected = DIFFERENCES[name]
    found = set(differences(GUIDE[name], example[name]))
    unexplained = {path for path in found if not path.startswith(tuple(expected))}
    assert unexplained == set()
    assert [path for path in expected if not any(each.startswith(path) for each in found)] == []


def test_the_volume_and_the_mount_of_the_guides_application_are_read_only(example: Mapping[str, JSON]) -> None:
    (volume,), (container,) = example["pod"]["volumes"], example["pod"]["containers"]
    assert volume["persistentVolumeClaim"] == {"claimName": CLAIM, "readOnly": True}
    assert container["volumeMounts"] == [
        {
            "name": volume["name"],
            "mountPath": "/app/models/some-model-1.0.0",
            "subPath": "some-model-1.0.0",
            "readOnly": True,
        }
    ]


def test_the_guides_reference_is_no_yaml() -> None:
    with pytest.raises(yaml.YAMLError):
        yaml.safe_load("metadata:\n  name: some-model\n  namespace:apps\nspec:\n  pvcName: some-model\n")
