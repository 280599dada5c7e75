"""CSI drivers that ways need, by the names of their CSIDriver objects."""

from typing import Final

from webhook.advice.situation import Situation

MOUNTPOINT: Final = "s3.csi.aws.com"
NODE_CACHE: Final = "csi.model-injector.io"
TRIDENT: Final = "csi.trident.netapp.io"
FILE_SYSTEMS: Final = ("efs.csi.aws.com", "fsx.csi.aws.com", "fsx.openzfs.csi.aws.com")
"""EFS, FSx for Lustre and FSx for OpenZFS."""
SHARED: Final = (
    TRIDENT,
    *FILE_SYSTEMS,
    "cephfs.csi.ceph.com",
    "file.csi.azure.com",
    "filestore.csi.storage.gke.io",
    "nfs.csi.k8s.io",
)
"""Drivers of ReadWriteMany storage. The names of Rook's drivers end in `.cephfs.csi.ceph.com`."""


def has(situation: Situation, *drivers: str) -> bool | None:
    """Whether the cluster has one of the CSI drivers. None: not known."""
    if situation.csi_drivers is None:
        return None
    return any(name == driver or name.endswith(f".{driver}") for name in situation.csi_drivers for driver in drivers)
