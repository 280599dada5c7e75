"""A second mutating webhook in the cluster, before or after the project's."""

import base64
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from certs import Authority
from tests.e2e import sidecar_webhook
from tests.e2e.cluster import JSON, Cluster
from tests.support.programs import running_server

_PROGRAM = Path(sidecar_webhook.__file__)
_SERVING = re.compile(r"serving on (\d+)")
NAME = "other-webhook"


@contextmanager
def serving(cluster: Cluster, folder: Path) -> Iterator[JSON]:
    """Serve it where the API server reaches it; gives the clientConfig of webhook configurations."""
    namespace = f"e2e-other-{uuid4().hex[:6]}"
    authority = Authority.create()
    leaf = authority.issue(["localhost", f"{NAME}.{namespace}.svc"])
    bundle = base64.b64encode(authority.certificate).decode()
    if not cluster.runs_pods:
        certificate, key = folder / "other.crt", folder / "other.key"
        certificate.write_bytes(leaf.certificate)
        key.write_bytes(leaf.key)
        command = (sys.executable, _PROGRAM, "127.0.0.1", "0", certificate, key)
        with running_server(command, ready=_SERVING, log=folder / "other.log", env=os.environ) as port:
            yield {"caBundle": bundle, "url": f"https://localhost:{port}"}
        return
    cluster.apply(*_objects(namespace, {"tls.crt": leaf.certificate, "tls.key": leaf.key}))
    try:
        cluster.kubectl("rollout", "status", f"deployment/{NAME}", "--namespace", namespace, "--timeout=120s")
        yield {"caBundle": bundle, "service": {"name": NAME, "namespace": namespace, "port": 443}}
    finally:
        cluster.kubectl("delete", "namespace", namespace, "--wait=false")


@contextmanager
def registered(cluster: Cluster, client: JSON, name: str, namespace: str, path: str) -> Iterator[None]:
    """Let the API server ask it about the pods of a namespace. API servers call webhooks in the order of the names."""
    if "url" in client:
        config = {**client, "url": f"{client['url']}{path}"}
    else:
        config = {**client, "service": {**client["service"], "path": path}}
    webhook = {
        "name": "pods.other.example.com",
        "admissionReviewVersions": ["v1"],
        "clientConfig": config,
        "sideEffects": "None",
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
    }
    kind = "MutatingWebhookConfiguration"
    version = "admissionregistration.k8s.io/v1"
    cluster.create({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "webhooks": [webhook]})
    try:
        yield
    finally:
        cluster.kubectl("delete", kind, name)


def _objects(namespace: str, files: dict[str, bytes]) -> list[JSON]:
    """A Deployment and its Service, from the image of model-injector, which has Python."""
    metadata = {"name": NAME, "namespace": namespace}
    labels = {"app": NAME}
    data = {name: base64.b64encode(content).decode() for name, content in files.items()}
    container = {
        "name": "webhook",
        "image": os.environ["IMAGE"],
        "command": ["python3", "-c", _PROGRAM.read_text(), "", "8443", "/tls/tls.crt", "/tls/tls.key"],
        "volumeMounts": [{"name": "tls", "mountPath": "/tls"}],
        "readinessProbe": {"tcpSocket": {"port": 8443}, "periodSeconds": 1},
    }
    pod = {"containers": [container], "volumes": [{"name": "tls", "secret": {"secretName": NAME}}]}
    spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    ports = [{"port": 443, "targetPort": 8443}]
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"selector": labels, "ports": ports}},
    ]
