"""Files on a node, by a pod that runs as root and sees a folder of the node."""

import os
from uuid import uuid4

from tests.e2e.cluster import JSON, Cluster
from tests.e2e.workloads import PRIVILEGED

FOLDER = "/var/lib/model-injector-e2e"
"""The folder of the nodes in which the tests write."""


def on_a_node(cluster: Cluster, program: str, *arguments: str) -> str:
    """Run a Python program on a node, with FOLDER as its working directory; gives the node's name."""
    namespace = f"e2e-node-{uuid4().hex[:6]}"
    label, value = PRIVILEGED.split("=")
    container = {
        "name": "files",
        "image": os.environ["IMAGE"],
        "command": ["python3", "-c", program, *arguments],
        "workingDir": FOLDER,
        "securityContext": {"runAsUser": 0, "runAsNonRoot": False},
        "volumeMounts": [{"name": "node", "mountPath": FOLDER}],
    }
    volume = {"name": "node", "hostPath": {"path": FOLDER, "type": "DirectoryOrCreate"}}
    spec = {"containers": [container], "volumes": [volume], "restartPolicy": "Never"}
    metadata = {"name": "files", "namespace": namespace}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": {label: value}}})
    cluster.until(lambda: cluster.has("serviceaccount", "default", namespace), lambda: "no service account")
    cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    try:
        done = "--for=jsonpath={.status.phase}=Succeeded"
        cluster.kubectl("wait", done, "pod/files", "--namespace", namespace, "--timeout=120s")
        name: str = cluster.get("pod", "files", namespace)["spec"]["nodeName"]
    finally:
        cluster.kubectl("delete", "namespace", namespace, "--wait=false")
    return name


def write(cluster: Cluster, path: str, content: str) -> str:
    """Write a file below FOLDER, whose folders anyone may write to; gives the node's name."""
    program = (
        "import os, pathlib, sys; os.umask(0); path = pathlib.Path(sys.argv[1]);"
        "path.parent.mkdir(parents=True, exist_ok=True); path.write_text(sys.argv[2])"
    )
    return on_a_node(cluster, program, path, content)


def remove(cluster: Cluster, path: str) -> None:
    """Remove a folder below FOLDER."""
    on_a_node(cluster, "import shutil, sys; shutil.rmtree(sys.argv[1])", path)


def volume(name: str, path: str, node: str, namespace: str, claim: str) -> JSON:
    """A PersistentVolume of a folder below FOLDER, for one claim."""
    match = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteMany"],
            "storageClassName": "e2e",
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": namespace, "name": claim},
            "hostPath": {"path": f"{FOLDER}/{path}", "type": "Directory"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [match]}]}},
        },
    }
