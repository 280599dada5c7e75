"""The user that the init container runs as, so that the node admits it, and it can reach S3 and write to its volume."""

import re
from typing import Final, NamedTuple

from webhook.fetching.settings import FetchSettings
from webhook.kubernetes.mesh import MESH_PROXIES, Redirection, redirection
from webhook.kubernetes.pod import Pod, PodSpec, Volume
from webhook.kubernetes.volumes import belongs_to_root, ignores_fs_group
from webhook.model.refusals import Conflict
from webhook.model.request import ModelRequest
from webhook.model.source import Source

_SCC: Final = "openshift.io/scc"
"""The annotation with the security context constraint by which OpenShift has admitted the pod."""
_RANGED: Final = ("restricted", "hostaccess", "hostnetwork")
"""How the names of OpenShift's constraints begin that fill in users of the namespace's range."""
_FIRST_OF_RANGES: Final = 1_000_000_000
"""The first user ID of the first namespace's range on OpenShift."""


class ContainerUser(NamedTuple):
    """The user of an init container."""

    uid: int | None
    """None: the field is left out, and the platform or the image decides."""
    warning: str = ""


def container_user(
    pod: Pod, request: ModelRequest, source: Source, volume: Volume | None, settings: FetchSettings
) -> ContainerUser:
    """The user of the init container that downloads a model into `volume`; None is an emptyDir of the webhook.

    Raises Conflict if each user that could write to the volume, or be admitted, is cut off from the network by a mesh.
    """
    user = _app_user(pod.spec, request.containers)
    context = pod.spec.security_context
    kind = belongs_to_root(volume, context.fs_group if context else None) if volume else ""
    uid: int | None
    if (redirected := redirection(pod)) is None:
        uid = _own_user(pod, user, kind, settings)
    elif reason := _why_not(pod, redirected, user, volume, kind):
        uid = _own_user(pod, user, kind, settings)
        _check_excluded(pod, redirected, uid, reason, source)
    else:
        uid = redirected.user
    if volume is None or not kind or uid == 0 or (context and context.supplemental_groups):
        return ContainerUser(uid)
    if ignores_fs_group(kind) and uid == user:
        return ContainerUser(uid)
    return ContainerUser(uid, _warning(volume.name, kind, uid))


def _own_user(pod: Pod, user: int | None, kind: str, settings: FetchSettings) -> int | None:
    """The user of an init container that has a network. `user` is the application's; `kind` is that of the volume."""
    if user or (user == 0 and kind):
        return user
    if _is_ranged(pod, user):
        return None
    context = pod.spec.security_context
    if settings.run_as_user is None and context and context.run_as_user == 0:
        raise Conflict(
            "the pod's securityContext.runAsUser is 0, and the init container, which inherits it, must not run as "
            "root; set the setting fetch.runAsUser, or another user in the pod"
        )
    return settings.run_as_user


def _app_user(spec: PodSpec, names: tuple[str, ...]) -> int | None:
    """The user of the first container that gets the model and does not run as root.

    0 if all of them that name a user run as root. None if none names one. `names` is empty for all app containers.
    """
    pod_user = spec.security_context.run_as_user if spec.security_context else None
    root: int | None = None
    for container in spec.containers or ():
        if container.name not in names if names else container.name in MESH_PROXIES:
            continue
        context = container.security_context
        user = pod_user if context is None or context.run_as_user is None else context.run_as_user
        if user:
            return user
        root = user if root is None else root
    return root if root is not None or not names else _app_user(spec, ())


def _is_ranged(pod: Pod, user: int | None) -> bool:
    """Whether the platform fills in the user of each container, or only admits users of the namespace's range."""
    scc = (pod.metadata.annotations or {}).get(_SCC, "")
    return scc.startswith(_RANGED) or (user is not None and user >= _FIRST_OF_RANGES)


def _port(source: Source) -> str:
    """The port of S3."""
    port = re.search(r":(\d+)(/|$)", source.endpoint_url)
    return port[1] if port else "80" if source.endpoint_url.startswith("http:") else "443"


def _why_not(pod: Pod, redirected: Redirection, user: int | None, volume: Volume | None, kind: str) -> str:
    """Why the init container cannot run as the user whose traffic is not redirected, with a remedy if there is one.

    Empty if it can.
    """
    if not redirected.is_named and _is_ranged(pod, user):
        return "OpenShift only admits users of the namespace's range; "
    groups = pod.spec.security_context and pod.spec.security_context.supplemental_groups
    if volume and kind and user is not None and user != redirected.user and not groups:
        remedy = "" if ignores_fs_group(kind) else "set securityContext.fsGroup of the pod, or "
        return f"the volume {volume.name} may only be writable for the pod's user {user}; {remedy}"
    return ""


def _check_excluded(pod: Pod, redirected: Redirection, uid: int | None, reason: str, source: Source) -> None:
    """Raise Conflict unless an annotation of the mesh excludes the init container's traffic from the redirection."""
    mesh = redirected.mesh
    value = mesh.exclusion_of(_port(source), uid)
    if not mesh.excludes(pod.metadata.annotations or {}, value):
        raise Conflict(
            f"{mesh.name} redirects the pod's traffic to {mesh.proxy}, which starts after the init containers; only "
            f"its user {redirected.user} can reach S3 before, and {reason}exclude S3 from the redirection with the "
            f'annotation {mesh.exclusion[0]}: "{value}", or let {mesh.name} add its proxy as a native sidecar'
        )


def _warning(volume: str, kind: str, uid: int | None) -> str:
    runs_as = "" if uid is None else f" as user {uid}"
    if ignores_fs_group(kind):
        return (
            f"the init container writes to the volume {volume}{runs_as}, and a {kind} keeps its owner; set "
            "securityContext.runAsUser of the pod to the owner's user ID, unless the folder is writable"
        )
    return (
        f"the init container writes to the volume {volume}{runs_as}, and the root folder of a new volume belongs to "
        f"root; set securityContext.fsGroup of the pod, such as fsGroup: {uid or 1000}, unless the folder is writable"
    )
