"""The messages of CSI v1 and of kubelet's plugin registration v1, as far as a driver of inline volumes needs them.

They are declared by the names and numbers of csi.proto and of kubelet's api.proto. Fields that are left out are ignored
when they come.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field: Final = descriptor_pb2.FieldDescriptorProto
_STRING, _BOOL, _INT64, _ENUM = _Field.TYPE_STRING, _Field.TYPE_BOOL, _Field.TYPE_INT64, _Field.TYPE_INT32
_MAP: Final = "map<string, string>"
_Type: TypeAlias = "int | str | list[int | str]"
"""A scalar, the name of a message, _MAP, or a list with one of these: repeated."""
_CSI: Final[Mapping[str, Mapping[str, tuple[int, _Type]]]] = {
    "GetPluginInfoRequest": {},
    "GetPluginInfoResponse": {"name": (1, _STRING), "vendor_version": (2, _STRING)},
    "GetPluginCapabilitiesRequest": {},
    "GetPluginCapabilitiesResponse": {},
    "ProbeRequest": {},
    "BoolValue": {"value": (1, _BOOL)},
    "ProbeResponse": {"ready": (1, "BoolValue")},
    "AccessMode": {"mode": (1, _ENUM)},
    "MountVolume": {"fs_type": (1, _STRING), "mount_flags": (2, [_STRING])},
    "BlockVolume": {},
    "VolumeCapability": {"block": (1, "BlockVolume"), "mount": (2, "MountVolume"), "access_mode": (3, "AccessMode")},
    "NodePublishVolumeRequest": {
        "volume_id": (1, _STRING),
        "target_path": (4, _STRING),
        "volume_capability": (5, "VolumeCapability"),
        "readonly": (6, _BOOL),
        "secrets": (7, _MAP),
        "volume_context": (8, _MAP),
    },
    "NodePublishVolumeResponse": {},
    "NodeUnpublishVolumeRequest": {"volume_id": (1, _STRING), "target_path": (2, _STRING)},
    "NodeUnpublishVolumeResponse": {},
    "NodeGetCapabilitiesRequest": {},
    "NodeGetCapabilitiesResponse": {},
    "NodeGetInfoRequest": {},
    "NodeGetInfoResponse": {"node_id": (1, _STRING), "max_volumes_per_node": (2, _INT64)},
}
_REGISTRATION: Final[Mapping[str, Mapping[str, tuple[int, _Type]]]] = {
    "InfoRequest": {},
    "PluginInfo": {
        "type": (1, _STRING),
        "name": (2, _STRING),
        "endpoint": (3, _STRING),
        "supported_versions": (4, [_STRING]),
    },
    "RegistrationStatus": {"plugin_registered": (1, _BOOL), "error": (2, _STRING)},
    "RegistrationStatusResponse": {},
}


def _messages(package: str, declared: Mapping[str, Mapping[str, tuple[int, _Type]]]) -> dict[str, Any]:
    """The classes of messages, by name."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for name, fields in declared.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            _add(message, field, number, kind, package)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in declared}


def _add(message: Any, name: str, number: int, kind: _Type, package: str) -> None:
    is_repeated = isinstance(kind, list)
    each = kind[0] if isinstance(kind, list) else kind
    added = message.field.add(name=name, number=number)
    added.label = _Field.LABEL_REPEATED if is_repeated or each == _MAP else _Field.LABEL_OPTIONAL
    if isinstance(each, int):
        added.type = each
        return
    added.type = _Field.TYPE_MESSAGE
    if each != _MAP:
        added.type_name = f".{package}.{each}"
        return
    entry = message.nested_type.add(name="".join(part.title() for part in name.split("_")) + "Entry")
    entry.options.map_entry = True
    for key, place in (("key", 1), ("value", 2)):
        entry.field.add(name=key, number=place, label=_Field.LABEL_OPTIONAL, type=_STRING)
    added.type_name = f".{package}.{message.name}.{entry.name}"


CSI: Final = _messages("csi.v1", _CSI)
REGISTRATION: Final = _messages("pluginregistration", _REGISTRATION)
