"""What a pod can do with a volume, as far as its manifest tells: write to it, and mount another volume inside it."""

from typing import Final

from webhook.kubernetes.pod import Volume, VolumeMount

_FILLED_BY_KUBELET: Final = frozenset({"configMap", "downwardAPI", "projected", "secret"})
_CLAIMS: Final = frozenset({"csi", "ephemeral", "persistentVolumeClaim"})
_UNMANAGED: Final = frozenset({"hostPath", "nfs"})
_NO_FOLDERS: Final = ("BlockDevice", "CharDevice", "File", "Socket")


def why_read_only(volume: Volume) -> str:
    """Why no container can write files to the volume, as a clause with a subject. Empty if one may be able to."""
    for kind in volume.types:
        if kind in _FILLED_BY_KUBELET:
            return f"kubelet mounts a {kind} volume read-only"
        if kind == "image":
            return "an image volume is read-only"
        source = volume.source[kind]
        fields = source if isinstance(source, dict) else {}
        if fields.get("readOnly") is True:
            return f"its {kind} is readOnly"
        if kind == "hostPath" and fields.get("type") in _NO_FOLDERS:
            return f"its hostPath is a {fields['type']}"
        if kind == "emptyDir" and str(fields.get("medium")).startswith("HugePages"):
            return "programs can only map the files of an emptyDir of huge pages, not write them"
    return ""


def why_not_inside(mount: VolumeMount, volume: Volume | None) -> str:
    """Why no other volume can be mounted inside `mount`, as a predicate. Empty if one can.

    The container runtime creates the mount point, which fails in a read-only mount. In the volumes that it fills
    itself, kubelet has created it before, but relative to the volume's root: MakeNestedMountpoints in
    k8s.io/kubernetes/pkg/volume/util/nested_volumes.go. `volume` is None if the pod lacks it.
    """
    if volume and not _FILLED_BY_KUBELET.isdisjoint(volume.types):
        return "with a subPath of a read-only volume" if mount.sub_path or mount.sub_path_expr else ""
    if mount.read_only or (volume and why_read_only(volume)):
        return "read-only"
    return ""


def belongs_to_root(volume: Volume, fs_group: int | None) -> str:
    """The type of the volume, if only the owner of its root folder can write there. In a new volume, root is the owner.

    Empty if everybody can write to it, as to an emptyDir, or if kubelet makes it writable for `fs_group`. kubelet does
    not do that for a hostPath and for nfs.
    """
    for kind in volume.types:
        if kind in _UNMANAGED or (kind in _CLAIMS and fs_group is None):
            return kind
    return ""


def ignores_fs_group(kind: str) -> bool:
    """Whether kubelet leaves the owner of volumes of this type alone, whatever the pod's fsGroup is."""
    return kind in _UNMANAGED
