"""AWS's pod-identity-webhook as a process of this machine, at an API server that runs here."""

import base64
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.processes import in_own_session
from tests.e2e.cluster import Cluster
from tests.support.certificates import throwaway_certificate
from tests.support.programs import running_server

_NAME: Final = "pod-identity-webhook"
_ROLE: Final = "arn:aws:iam::111122223333:role/model-reader"
_LISTENING: Final = re.compile(r"(Listening on)")


@contextmanager
def pod_identity(cluster: Cluster, program: Path, account: str, work: Path) -> Iterator[None]:
    """Let it give a role to the pods of NAMESPACE/ACCOUNT. It is asked about the pods of that namespace alone."""
    namespace, _, name = account.partition("/")
    where = ("--namespace", namespace)
    cluster.kubectl("annotate", "serviceaccount", name, f"eks.amazonaws.com/role-arn={_ROLE}", *where)
    certificate = throwaway_certificate(work, "localhost")
    port, metrics = _free_port(), _free_port()
    command = in_own_session(
        program,
        "--in-cluster=false",
        f"--kubeconfig={cluster.kubeconfig}",
        f"--port={port}",
        f"--metrics-port={metrics}",
        f"--tls-cert={certificate.certificate}",
        f"--tls-key={certificate.key}",
        "--aws-default-region=eu-west-1",  # this and the next as EKS has it
        "--sts-regional-endpoint=true",
    )
    log = work / "pod-identity-webhook.log"
    with running_server(command, ready=_LISTENING, log=log, env=os.environ):
        cluster.apply(_configuration(namespace, f"https://localhost:{port}/mutate", certificate.authority))
        cluster.until(lambda: _has_role(cluster, namespace, name), log.read_text)
        yield


def _configuration(namespace: str, url: str, authority: str) -> dict[str, object]:
    """As EKS has it, but for the address and the namespace."""
    webhook = {
        "name": "iam-for-pods.amazonaws.com",
        "admissionReviewVersions": ["v1"],
        "clientConfig": {"url": url, "caBundle": base64.b64encode(authority.encode()).decode()},
        "failurePolicy": "Ignore",
        "sideEffects": "None",
        "reinvocationPolicy": "IfNeeded",
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
    }
    kind = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration"}
    return {**kind, "metadata": {"name": _NAME}, "webhooks": [webhook]}


def _has_role(cluster: Cluster, namespace: str, account: str) -> bool:
    """Whether a pod gets the role's variables, in a dry run."""
    spec = {"serviceAccountName": account, "containers": [{"name": "app", "image": "none"}]}
    metadata = {"name": "probe", "namespace": namespace}
    pod = cluster.dry_run({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    return "AWS_ROLE_ARN" in [each["name"] for each in pod["spec"]["containers"][0].get("env", [])]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port
