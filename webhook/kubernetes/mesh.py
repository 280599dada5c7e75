"""Service meshes with a proxy in each pod, and pods whose init containers have no network because of them.

A CNI plugin of a mesh redirects a pod's traffic to the proxy before the first init container runs. Unless the proxy is
a native sidecar, it starts after the init containers, so their connections fail until then. The traffic of the proxy's
own user is not redirected.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from webhook.kubernetes.pod import Pod


class Mesh(NamedTuple):
    """The names by which a mesh is recognised in a pod, and the user of its proxy."""

    name: str
    proxy: str
    """The proxy's container."""
    init_container: str | None
    """The init container that redirects traffic in clusters without the CNI plugin, if only that one does."""
    validator: str | None
    """The init container that waits for the CNI plugin's redirection, if the mesh has one."""
    status: tuple[str, str]
    """The annotation that the mesh writes on pods that get the proxy, and a part of its value if the traffic may be
    redirected by the CNI plugin."""
    off: tuple[str, str]
    """The annotation, and its value, by which a pod's traffic is not redirected."""
    user: int
    """The proxy's user ID, if its container does not name one."""
    exclusion: tuple[str, str]
    """The annotation that excludes traffic from the redirection, and its value for a {port} and a {user}."""
    addresses: tuple[str, ...]
    """Other annotations that exclude traffic, by addresses or users. What they exclude is not examined."""

    def exclusion_of(self, port: str, user: int | None) -> str:
        """The value of the annotation `exclusion` for a port of S3, and the user of an init container."""
        return self.exclusion[1].format(port=port, user="USER" if user is None else user)

    def excludes(self, annotations: Mapping[str, str], value: str) -> bool:
        """Whether annotations of a pod exclude `value`, as `exclusion_of` returns it, or addresses."""
        if any(annotations.get(name, "").strip() not in ("", "*") for name in self.addresses):
            return True
        listed = annotations.get(self.exclusion[0], "").replace(" ", "").split(",")
        return all(any(_covers(item, wanted) for item in listed) for wanted in value.split(","))


def _covers(item: str, wanted: str) -> bool:
    """Whether an item of a list is what is wanted, or a range of ports, such as `440-450`, that contains it."""
    ports = re.fullmatch(r"(\d{1,5})-(\d{1,5})", item)
    return item == wanted or bool(ports and wanted.isdigit() and int(ports[1]) <= int(wanted) <= int(ports[2]))


MESHES: Final = (
    # https://istio.io/latest/docs/setup/additional-setup/cni/#compatibility-with-application-init-containers
    Mesh(
        name="Istio",
        proxy="istio-proxy",
        init_container="istio-init",
        validator="istio-validation",
        status=("sidecar.istio.io/status", "istio-validation"),
        off=("sidecar.istio.io/interceptionMode", "NONE"),
        user=1337,
        exclusion=("traffic.sidecar.istio.io/excludeOutboundPorts", "{port}"),
        addresses=(
            "traffic.sidecar.istio.io/excludeOutboundIPRanges",
            "traffic.sidecar.istio.io/includeOutboundIPRanges",
        ),
    ),
    # https://linkerd.io/2/features/cni/#allowing-initcontainer-networking
    Mesh(
        name="Linkerd",
        proxy="linkerd-proxy",
        init_container="linkerd-init",
        validator="linkerd-network-validator",
        status=("linkerd.io/proxy-version", ""),
        off=("linkerd.io/inject", "disabled"),
        user=2102,
        exclusion=("config.linkerd.io/skip-outbound-ports", "{port}"),
        addresses=("config.linkerd.io/skip-subnets",),
    ),
    # https://developer.hashicorp.com/consul/docs/reference/k8s/annotation-label
    Mesh(
        name="Consul",
        proxy="consul-dataplane",
        init_container=None,
        validator=None,
        status=("consul.hashicorp.com/redirect-traffic-config", ""),
        off=("consul.hashicorp.com/transparent-proxy", "false"),
        user=5995,
        exclusion=("consul.hashicorp.com/transparent-proxy-exclude-outbound-ports", "{port}"),
        addresses=(
            "consul.hashicorp.com/transparent-proxy-exclude-outbound-cidrs",
            "consul.hashicorp.com/transparent-proxy-exclude-uids",
        ),
    ),
    # https://kuma.io/docs/latest/production/init-containers/
    Mesh(
        name="Kuma",
        proxy="kuma-sidecar",
        init_container="kuma-init",
        validator="kuma-validation",
        status=("kuma.io/sidecar-injected", ""),
        off=("kuma.io/transparent-proxying", "disabled"),
        user=5678,
        exclusion=("traffic.kuma.io/exclude-outbound-ports-for-uids", "tcp:{port}:{user},udp:53:{user}"),
        addresses=(),
    ),
)
MESH_PROXIES: Final = frozenset(mesh.proxy for mesh in MESHES)
"""Containers that service meshes add to a pod. They get no models unless they are named."""
_STATUSES: Final = frozenset(mesh.status[0] for mesh in MESHES)


class Redirection(NamedTuple):
    """A redirection that is in force before the first init container, to a proxy that starts after them all."""

    mesh: Mesh
    user: int
    """The user ID whose traffic is not redirected."""
    is_named: bool
    """Whether the proxy's container names this user. What admits the proxy to the cluster then admits the user."""


def redirection(pod: Pod) -> Redirection | None:
    """The redirection that cuts init containers off from the network. None if they have a network."""
    annotations, spec = pod.metadata.annotations or {}, pod.spec
    if not spec.init_containers and _STATUSES.isdisjoint(annotations):
        return None
    containers = {container.name: container for container in spec.containers or ()}
    init_containers = {container.name: container for container in spec.init_containers or ()}
    for mesh in MESHES:
        name, value = mesh.off
        native = init_containers.get(mesh.proxy)
        if (native and native.is_sidecar) or annotations.get(name) == value:
            continue
        proxy = containers.get(mesh.proxy)
        is_injected = proxy is not None and mesh.init_container not in init_containers and _says(annotations, mesh)
        if is_injected or mesh.validator in init_containers:
            # CNI plugins read the proxy's user as well, and take 0 for the default.
            named = proxy and proxy.security_context and proxy.security_context.run_as_user
            return Redirection(mesh, named or mesh.user, is_named=bool(named))
    return None


def _says(annotations: Mapping[str, str], mesh: Mesh) -> bool:
    """Whether the mesh's status annotation allows for a redirection by the CNI plugin."""
    name, part = mesh.status
    return name in annotations and part in annotations[name]
