"""The gRPC services: Identity and Node of CSI for inline volumes, and the registration of the driver at kubelet."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError
from grpclib.server import Stream

from webhook import __version__
from webhook.fields.parsers import EXACT_VERSION, LABEL, REFERENCE, SUBDOMAIN
from webhook.model.source import DEFAULT_SOURCE
from webhook.node_cache.credentials import PodIdentity, tokens_of
from webhook.node_cache.csi import CSI, REGISTRATION
from webhook.node_cache.folder import FolderLost
from webhook.node_cache.protocol import Volume
from webhook.node_cache.publisher import Publisher
from webhook.node_cache.refusals import REASONS, Refused
from webhook.strategies.node_cache import DRIVER

_SECONDS: Final = 60.0
"""How long a call may take that has no deadline. kubelet's have one of two minutes."""
_MOST_ATTRIBUTES: Final = 64
_LONGEST: Final = 512
"""Characters of an attribute. Most have shorter limits, which the annotations' parser knows."""
_LONGEST_TOKENS: Final = 1 << 16
_DIGEST: Final = re.compile("[0-9a-f]{64}|")
_NAMESPACE, _ACCOUNT, _ASKED = (re.compile(each, re.ASCII) for each in (LABEL, SUBDOMAIN, f"({REFERENCE})?"))
_POD: Final = "csi.storage.k8s.io/"
"""The prefix of the attributes that kubelet adds."""
_TOKENS: Final = f"{_POD}serviceAccount.tokens"
_MISSING: Final = ("NodeStageVolume", "NodeUnstageVolume", "NodeGetVolumeStats", "NodeExpandVolume")
"""Methods of Node that belong to capabilities which the driver does not have. Named, because grpclib answers calls of
methods that it does not know without the header that clients need to read the status."""
_Method: TypeAlias = "Callable[[Any, float], Awaitable[Any]]"


class _Service:
    """A service whose methods get the request and the seconds to its deadline, and return the response."""

    def __init__(self, name: str, methods: Mapping[str, tuple[_Method, Any, Any]]) -> None:
        """By the method's name: what it calls, and the types of its request and response."""
        self._name, self._methods = name, methods

    def __mapping__(self) -> dict[str, Handler]:
        return {
            f"/{self._name}/{name}": Handler(_handler(method), Cardinality.UNARY_UNARY, request, response)
            for name, (method, request, response) in self._methods.items()
        }


def _handler(method: _Method) -> Callable[[Stream[Any, Any]], Awaitable[None]]:
    async def handle(stream: Stream[Any, Any]) -> None:
        request = await stream.recv_message()
        left = stream.deadline.time_remaining() if stream.deadline else _SECONDS
        try:
            response = await method(request, left)
        except Refused as error:
            raise GRPCError(REASONS[error.reason], f"{error.reason}: {error}") from error
        except (FolderLost, OSError) as error:
            raise GRPCError(Status.UNAVAILABLE, f"Unreachable: {error}") from error
        await stream.send_message(response)

    return handle


def registration() -> _Service:
    """What kubelet asks at each socket in its folder plugins_registry. Without an endpoint, the driver serves there."""

    async def info(request: Any, left: float) -> Any:  # noqa: ARG001
        versions = ["1.0.0"]
        return REGISTRATION["PluginInfo"](type="CSIPlugin", name=DRIVER, supported_versions=versions)

    async def notified(request: Any, left: float) -> Any:  # noqa: ARG001
        return REGISTRATION["RegistrationStatusResponse"]()

    return _Service(
        "pluginregistration.Registration",
        {
            "GetInfo": (info, REGISTRATION["InfoRequest"], REGISTRATION["PluginInfo"]),
            "NotifyRegistrationStatus": (
                notified,
                REGISTRATION["RegistrationStatus"],
                REGISTRATION["RegistrationStatusResponse"],
            ),
        },
    )


def identity() -> _Service:
    """CSI's Identity. The driver has no controller: volumes are created with their pods."""

    async def info(request: Any, left: float) -> Any:  # noqa: ARG001
        return CSI["GetPluginInfoResponse"](name=DRIVER, vendor_version=__version__)

    async def capabilities(request: Any, left: float) -> Any:  # noqa: ARG001
        return CSI["GetPluginCapabilitiesResponse"]()

    async def probe(request: Any, left: float) -> Any:  # noqa: ARG001
        return CSI["ProbeResponse"](ready=CSI["BoolValue"](value=True))

    return _Service(
        "csi.v1.Identity",
        {
            "GetPluginInfo": (info, CSI["GetPluginInfoRequest"], CSI["GetPluginInfoResponse"]),
            "GetPluginCapabilities": (
                capabilities,
                CSI["GetPluginCapabilitiesRequest"],
                CSI["GetPluginCapabilitiesResponse"],
            ),
            "Probe": (probe, CSI["ProbeRequest"], CSI["ProbeResponse"]),
        },
    )


def node(publisher: Publisher, name: str) -> _Service:
    """CSI's Node. `name` is that of the node."""

    async def publish(request: Any, left: float) -> Any:
        _require(bool(request.volume_id), "a volume id")
        _require(bool(request.target_path), "a target path")
        _require(request.HasField("volume_capability"), "a volume capability")
        _require(request.volume_capability.HasField("mount"), "a volume of the type mount")
        await publisher.publish(request.target_path, volume_of(request.volume_context, request.secrets), left)
        return CSI["NodePublishVolumeResponse"]()

    async def unpublish(request: Any, left: float) -> Any:  # noqa: ARG001
        _require(bool(request.volume_id), "a volume id")
        _require(bool(request.target_path), "a target path")
        publisher.unpublish(request.target_path)
        return CSI["NodeUnpublishVolumeResponse"]()

    async def capabilities(request: Any, left: float) -> Any:  # noqa: ARG001
        return CSI["NodeGetCapabilitiesResponse"]()

    async def info(request: Any, left: float) -> Any:  # noqa: ARG001
        return CSI["NodeGetInfoResponse"](node_id=name)

    async def missing(request: Any, left: float) -> Any:  # noqa: ARG001
        raise GRPCError(Status.UNIMPLEMENTED, "the driver only publishes volumes")

    empty = CSI["NodeGetInfoRequest"], CSI["NodePublishVolumeResponse"]
    return _Service(
        "csi.v1.Node",
        {
            **dict.fromkeys(_MISSING, (missing, *empty)),
            "NodePublishVolume": (publish, CSI["NodePublishVolumeRequest"], CSI["NodePublishVolumeResponse"]),
            "NodeUnpublishVolume": (unpublish, CSI["NodeUnpublishVolumeRequest"], CSI["NodeUnpublishVolumeResponse"]),
            "NodeGetCapabilities": (
                capabilities,
                CSI["NodeGetCapabilitiesRequest"],
                CSI["NodeGetCapabilitiesResponse"],
            ),
            "NodeGetInfo": (info, CSI["NodeGetInfoRequest"], CSI["NodeGetInfoResponse"]),
        },
    )


def volume_of(context: Mapping[str, str], secrets: Mapping[str, str]) -> Volume:
    """The version that a volume's attributes name, and the pod, of which kubelet tells. Raises Refused.

    The tokens are in the secrets, or among the attributes before Kubernetes 1.35.
    """
    tokens = secrets.get(_TOKENS) or context.get(_TOKENS, "{}")
    lengths = (len(value) for name, value in context.items() if name != _TOKENS)
    is_small = len(context) <= _MOST_ATTRIBUTES and max(lengths, default=0) <= _LONGEST
    _require(is_small, f"at most {_MOST_ATTRIBUTES} attributes, of at most {_LONGEST} characters")
    _require(len(tokens) <= _LONGEST_TOKENS, f"tokens of at most {_LONGEST_TOKENS} characters")
    _require(context.get(f"{_POD}ephemeral") == "true", "a volume that is declared in a pod")
    namespace, account = context.get(f"{_POD}pod.namespace", ""), context.get(f"{_POD}serviceAccount.name", "")
    is_named = _NAMESPACE.fullmatch(namespace) and _ACCOUNT.fullmatch(account)
    _require(bool(is_named), "the pod's namespace and service account: podInfoOnMount of the CSIDriver")
    version, verify = context.get("version", ""), context.get("verify", "size")
    _require(bool(EXACT_VERSION.fullmatch(version)), "an exact version, which the webhook resolves")
    _require(verify in ("size", "sha256", "none"), "verify to be size, sha256 or none")
    asked, digest = context.get("asked", ""), context.get("digest", "")
    _require(bool(_ASKED.fullmatch(asked) and _DIGEST.fullmatch(digest)), "what the webhook wrote as asked and digest")
    return Volume(
        source=context.get("source", DEFAULT_SOURCE),
        model=context.get("model", ""),
        version=version,
        asked=asked,
        digest=digest,
        verify=verify,
        pod=PodIdentity(namespace, account, tokens_of(tokens)),
    )


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise Refused("InvalidArgument", f"the driver needs {what}")
