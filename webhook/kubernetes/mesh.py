"""Service meshes with a proxy in each pod, and pods whose init containers have no network because of them.

A CNI plugin of a mesh redirects a pod's traffic to the proxy before the first init container runs. Unless the proxy is
a native sidecar, it starts after the init containers, so their connections fail until then. The traffic of the proxy's
own user is not redirected.
"""

from typing import Final, NamedTuple

from webhook.kubernetes.pod import Pod, PodSpec


class Mesh(NamedTuple):
    """The names by which a mesh is recognised in a pod, and the user of its proxy."""

    name: str
    proxy: str
    """The proxy's container."""
    init_container: str
    """The init container that redirects traffic in clusters without the CNI plugin."""
    validator: str
    """The init container that waits for the CNI plugin's redirection. Empty: the mesh has none."""
    status: str
    """The annotation that the mesh writes on pods that get the proxy; Consul writes it only for its CNI plugin."""
    off: tuple[str, str]
    """The annotation, and its value, by which a pod's traffic is not redirected."""
    user: int
    """The proxy's user ID, if its container does not name one."""
    exclusion: tuple[str, str]
    """The annotation that excludes traffic from the redirection, and its value for a {port} and a {user}."""


MESHES: Final = (
    # https://istio.io/latest/docs/setup/additional-setup/cni/#compatibility-with-application-init-containers
    Mesh(
        name="Istio",
        proxy="istio-proxy",
        init_container="istio-init",
        validator="istio-validation",
        status="sidecar.istio.io/status",
        off=("sidecar.istio.io/interceptionMode", "NONE"),
        user=1337,
        exclusion=("traffic.sidecar.istio.io/excludeOutboundPorts", "{port}"),
    ),
    # https://linkerd.io/2/features/cni/#allowing-initcontainer-networking
    Mesh(
        name="Linkerd",
        proxy="linkerd-proxy",
        init_container="linkerd-init",
        validator="linkerd-network-validator",
        status="linkerd.io/proxy-version",
        off=("linkerd.io/inject", "disabled"),
        user=2102,
        exclusion=("config.linkerd.io/skip-outbound-ports", "{port}"),
    ),
    # https://developer.hashicorp.com/consul/docs/reference/k8s/annotation-label
    Mesh(
        name="Consul",
        proxy="consul-dataplane",
        init_container="",
        validator="",
        status="consul.hashicorp.com/redirect-traffic-config",
        off=("consul.hashicorp.com/transparent-proxy", "false"),
        user=5995,
        exclusion=("consul.hashicorp.com/transparent-proxy-exclude-outbound-ports", "{port}"),
    ),
    # https://kuma.io/docs/latest/production/init-containers/
    Mesh(
        name="Kuma",
        proxy="kuma-sidecar",
        init_container="kuma-init",
        validator="kuma-validation",
        status="kuma.io/sidecar-injected",
        off=("kuma.io/transparent-proxying", "disabled"),
        user=5678,
        exclusion=("traffic.kuma.io/exclude-outbound-ports-for-uids", "tcp:{port}:{user},udp:53:{user}"),
    ),
)
MESH_PROXIES: Final = frozenset(mesh.proxy for mesh in MESHES)
"""Containers that service meshes add to a pod. They get no models unless they are named."""
_STATUSES: Final = frozenset(mesh.status for mesh in MESHES)


class Redirection(NamedTuple):
    """A redirection that is in force before the first init container, to a proxy that starts after them all."""

    mesh: Mesh
    user: int
    """The user ID whose traffic is not redirected."""


def redirection(pod: Pod) -> Redirection | None:
    """The redirection that cuts init containers off from the network. None if they have a network."""
    annotations, spec = pod.metadata.annotations or {}, pod.spec
    if not spec.init_containers and _STATUSES.isdisjoint(annotations):
        return None
    init_containers = {container.name: container for container in spec.init_containers or ()}
    for mesh in MESHES:
        name, value = mesh.off
        native = init_containers.get(mesh.proxy)
        if (native and native.is_sidecar) or annotations.get(name) == value:
            continue
        is_injected = mesh.status in annotations and mesh.init_container not in init_containers
        is_validated = bool(mesh.validator) and mesh.validator in init_containers
        if is_validated or (is_injected and _has(spec, mesh.proxy)):
            return Redirection(mesh, _user(spec, mesh))
    return None


def _has(spec: PodSpec, name: str) -> bool:
    return any(container.name == name for container in spec.containers or ())


def _user(spec: PodSpec, mesh: Mesh) -> int:
    """The user of the proxy's container, which the CNI plugins read as well. They also take 0 for the default."""
    for container in spec.containers or ():
        if container.name == mesh.proxy and container.security_context and container.security_context.run_as_user:
            return container.security_context.run_as_user
    return mesh.user
