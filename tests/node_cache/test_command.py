"""`model-injector cache`: a table of all nodes, by way of the API server."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.node_cache.driver import Node
from tests.support.api_server import ApiServer, running_api_server
from tests.support.command_line import Done, run

PODS = "/api/v1/namespaces/model-injector/pods"
COMPONENT = {"app.kubernetes.io/component": "node-cache"}


@pytest.fixture
def api() -> Iterator[ApiServer]:
    with running_api_server() as api:
        api.lists[PODS] = []
        yield api


def add(api: ApiServer, name: str, url: str) -> None:
    """A pod of the node cache, and where its port leads."""
    metadata = {"name": name, "namespace": "model-injector", "labels": COMPONENT}
    api.lists[PODS].append({"metadata": metadata, "spec": {"nodeName": name.replace("pod", "node")}})
    api.services[f"/api/v1/namespaces/model-injector/pods/{name}:8080/proxy"] = url


def cache(api: ApiServer, folder: Path, *arguments: str) -> Done:
    file = folder / "settings.yaml"
    file.write_text(yaml.safe_dump({"bucket": "my-ml-bucket"}))
    return run("cache", "--config", str(file), *arguments, KUBECONFIG=str(api.kubeconfig(folder)))


def test_the_table_has_each_version_of_each_node(api: ApiServer, node: Node, tmp_path: Path) -> None:
    node.mount()
    add(api, "pod-1", node.url)
    done = cache(api, tmp_path)
    heads, row = (line.split() for line in done.stdout.splitlines())
    assert heads == ["NODE", "MODEL", "VERSION", "SIZE", "PODS", "KEPT", "LAST", "MOUNTED"]
    assert row[:3] == ["node-1", "my-model", "1.0.0"]
    assert row[5:7] == ["1", "no"]
    assert "node-1: " in done.stderr
    assert "of 1.0 GiB used" in done.stderr
    assert done.returncode == 0
    (found,) = json.loads(cache(api, tmp_path, "-o", "json").stdout)
    assert found["versions"][0]["volumes"] == 1


def test_a_node_that_does_not_answer_is_named_and_the_others_are_listed(
    api: ApiServer, node: Node, tmp_path: Path
) -> None:
    node.mount()
    add(api, "pod-1", node.url)
    metadata = {"name": "pod-2", "namespace": "model-injector", "labels": COMPONENT}
    api.lists[PODS].append({"metadata": metadata, "spec": {"nodeName": "node-2"}})
    done = cache(api, tmp_path)
    assert done.returncode == 1
    assert "node-2" in done.stderr
    assert "my-model" in done.stdout


def test_without_the_node_cache_the_command_says_how_to_install_it(api: ApiServer, tmp_path: Path) -> None:
    done = cache(api, tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "nodeCache.enabled" in done.stderr


def test_pods_of_other_namespaces_are_not_asked(api: ApiServer, node: Node, tmp_path: Path) -> None:
    """Anybody may give a pod the label."""
    add(api, "pod-1", node.url)
    api.lists[PODS.replace("model-injector", "other")] = []
    assert "namespace other has no pods" in cache(api, tmp_path, "--namespace", "other").stderr
