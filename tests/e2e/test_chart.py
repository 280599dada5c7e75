"""The chart by real helm: a second release is installed, upgraded from the release before, rolled back, uninstalled."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e import stand_in_kubelet
from tests.e2e.cluster import JSON, Cluster, CommandFailed, run
from tests.e2e.release import CHART, Release, answers, helm, image, objects
from tests.support.programs import helms

NAME, NAMESPACE, WEBHOOK = "second", "e2e-chart", "model-injector-second"
ROOT = CHART.parents[1]
PREFIX = "second.model-injector.io"
VALUES = {
    "image": image(),
    "replicaCount": 1,
    "webhook": {"name": WEBHOOK},
    "controller": {"enabled": True, "replicaCount": 1},
    "env": [{"name": "AWS_ACCESS_KEY_ID", "value": "a"}, {"name": "AWS_SECRET_ACCESS_KEY", "value": "b"}],
    "config": {
        "bucket": "my-ml-bucket",
        "region": "us-east-1",
        "endpointUrl": "http://127.0.0.1:9",
        "annotationPrefix": PREFIX,
        "catalog": {"mode": "s3"},
        "inventory": {"enabled": True},
        "controller": {"rollouts": {"enabled": True}},
    },
    "test": {"namespace": "default"},
}
WHERE = ("--namespace", NAMESPACE)
WAIT = ("--wait", "--timeout=180s")


@pytest.fixture
def empty(cluster: Cluster) -> Iterator[None]:
    """A namespace without a release, in which pods become ready."""
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    with stand_in_kubelet.reporting(cluster, NAMESPACE):
        yield
    with suppress(CommandFailed):
        helm(cluster, "uninstall", NAME, *WHERE, "--wait")
    cluster.kubectl("delete", "namespace", NAMESPACE)


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart of the release before. PREVIOUS_CHART is its folder or revision; without it, it is that of the last
    tag, and before the first tag that of the commit before."""
    given = os.environ.get("PREVIOUS_CHART") or last_tag() or "HEAD^"
    if Path(given).is_dir():
        return Path(given)
    folder = tmp_path_factory.mktemp("previous")
    command = ("git", "-C", ROOT, "archive", given, "charts/model-injector")
    archive = subprocess.run(command, capture_output=True, check=True).stdout
    extract = ("tar", "--extract", "--directory", folder)
    subprocess.run(extract, input=archive, check=True)
    return folder / "charts" / "model-injector"


@pytest.mark.usefixtures("controllers", "empty")
@pytest.mark.parametrize("which", ["oldest", "newest"])
def test_a_release_is_installed_and_uninstalled_with_nothing_left(cluster: Cluster, which: str) -> None:
    before = objects(cluster, NAMESPACE)
    command = (helms()[which], "install", NAME, CHART, *WHERE, *WAIT, "--values=-")
    run(command, cluster.kubeconfig, json.dumps(VALUES))
    made = objects(cluster, NAMESPACE) - before
    assert f"mutatingwebhookconfiguration.admissionregistration.k8s.io/{WEBHOOK}" in made

    run((helms()[which], "uninstall", NAME, *WHERE, *WAIT), cluster.kubeconfig)

    cluster.until(lambda: objects(cluster, NAMESPACE) <= before, lambda: objects(cluster, NAMESPACE) - before)


@pytest.mark.usefixtures("controllers", "empty")
def test_a_release_is_upgraded_from_the_one_before_and_rolled_back(cluster: Cluster, previous: Path) -> None:
    before = objects(cluster, NAMESPACE)
    helm(cluster, "install", NAME, previous, *WHERE, *WAIT, values=VALUES)
    old = specs(cluster)

    helm(cluster, "upgrade", NAME, CHART, *WHERE, *WAIT, values=VALUES)
    assert status(cluster) == (2, "deployed")
    if cluster.runs_pods:  # without nodes, the release's webhook does not run
        cluster.until(lambda: answers(cluster, PREFIX), lambda: "the upgraded webhook does not answer")

    helm(cluster, "rollback", NAME, "1", *WHERE, *WAIT)
    assert status(cluster) == (3, "deployed")
    assert specs(cluster) == old

    helm(cluster, "uninstall", NAME, *WHERE, *WAIT)
    cluster.until(lambda: objects(cluster, NAMESPACE) <= before, lambda: objects(cluster, NAMESPACE) - before)


@pytest.mark.usefixtures("controllers", "empty")
def test_an_upgrade_with_other_values_keeps_the_certificates(cluster: Cluster) -> None:
    helm(cluster, "install", NAME, CHART, *WHERE, *WAIT, values=VALUES)
    secret = ("secret", f"{NAME}-model-injector-ca", NAMESPACE)
    if not cluster.runs_pods:  # the webhook writes it where it runs
        cluster.kubectl("patch", *secret[:2], *WHERE, "--patch", '{"stringData": {"written": "by a replica"}}')
    written = cluster.get(*secret)["data"]

    helm(cluster, "upgrade", NAME, CHART, *WHERE, *WAIT, values={**VALUES, "podLabels": {"changed": "yes"}})

    assert cluster.get(*secret)["data"] == written


@pytest.mark.usefixtures("nodes")
def test_helm_test_finds_that_the_webhook_works(cluster: Cluster, injector: Release) -> None:
    printed = helm(cluster, "test", injector.name, "--namespace", injector.namespace)

    assert re.search(r"Phase: +Succeeded", printed)


@pytest.mark.usefixtures("injector")
def test_a_release_of_the_same_name_of_webhook_is_refused(cluster: Cluster) -> None:
    values = {**VALUES, "webhook": {}}

    with pytest.raises(CommandFailed, match="MutatingWebhookConfiguration model-injector already exists"):
        helm(cluster, "install", NAME, CHART, "--namespace", "default", values=values)


def last_tag() -> str:
    """The release before this commit. Empty if there is none."""
    command = ("git", "-C", ROOT, "describe", "--tags", "--abbrev=0", "--match=v*", "HEAD^")
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def specs(cluster: Cluster) -> list[JSON]:
    """What the release's Deployments and webhooks say."""
    deployments = cluster.objects("deployments", NAMESPACE)
    webhook = cluster.get("mutatingwebhookconfiguration", WEBHOOK)["webhooks"]
    for entry in webhook:
        entry["clientConfig"].pop("caBundle", None)  # of the webhook, once it runs
    return [*(each["spec"] for each in deployments), *webhook]


def status(cluster: Cluster) -> tuple[int, str]:
    """The revision of the release, and its state."""
    found = json.loads(helm(cluster, "status", NAME, *WHERE, "--output=json"))
    return found["version"], found["info"]["status"]
