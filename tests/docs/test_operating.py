"""What `cleanup` prints on the page about the life cycle of a model, with the settings of that page."""

import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
import yaml

from tests.controller.memory import CLAIM, JOB, NAMESPACE, PREFIX, REFERENCE, VOLUME, MemoryCluster, namespace
from tests.support import moto_s3
from tests.support.api_server import ApiServer, running_api_server
from tests.support.command_line import Done, run_process
from tests.usage.objects import LISTS, PODS, REPLICA_SETS, injected, pod, workload
from webhook.catalog.bucket.manifest import Manifest, ManifestFile, sums
from webhook.controller import loads
from webhook.controller.published import Model, Published, Version
from webhook.model.artifact import Artifact
from webhook.model.objects import claim_name
from webhook.model.source import Source
from webhook.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "operating.md").read_text()
WEIGHTS = bytes(20_000_000)
DAYS = {"1.2.3": 45, "1.2.4": 44, "1.3.0": 40, "1.3.1": 35, "2.0.0": 3}
"""How long ago each version was published."""
KINDS = {
    NAMESPACE: "/api/v1/namespaces",
    CLAIM: "/api/v1/persistentvolumeclaims",
    VOLUME: "/api/v1/persistentvolumes",
    JOB: "/apis/batch/v1/namespaces/model-injector/jobs",
    REFERENCE: "/apis/trident.netapp.io/v1/tridentvolumereferences",
}


@pytest.fixture(scope="module")
def bucket() -> Iterator[moto_s3.MotoBucket]:
    with moto_s3.serve() as url:
        bucket = moto_s3.make_bucket(url)
        files = (ManifestFile("weights.bin", len(WEIGHTS), hashlib.sha256(WEIGHTS).hexdigest()),)
        for version, days in DAYS.items():
            manifest = Manifest("my-model", version, datetime.now(UTC) - timedelta(days=days, hours=1), files)
            bucket.put(f"my-model-{version}/weights.bin", WEIGHTS)
            bucket.put(f"my-model-{version}/SHA256SUMS", sums(files))
            bucket.put(f"my-model-{version}/manifest.json", manifest.encode())
        yield bucket


@pytest.fixture
def settings(bucket: moto_s3.MotoBucket) -> dict[str, Any]:
    """Those of the page."""
    found = re.search(r"```yaml\n(controller:.*?)```", PAGE, re.DOTALL)
    assert found
    config: dict[str, Any] = yaml.safe_load(found[1])["config"]
    place = {"bucket": bucket.name, "endpointUrl": bucket.url, "region": "us-east-1"}
    return {**config, **place, "strategies": {"shared-volume": {"storageClass": "nfs"}}}


def loaded(settings: Settings) -> MemoryCluster:
    """A cluster in which the versions are loaded."""
    cluster, source = MemoryCluster(), settings.all_sources["default"]
    for name in ("model-injector", "apps", "restricted", "batch"):
        cluster.create(namespace(name))
    versions = {
        name: Version(Artifact("my-model", name, source, 1, len(WEIGHTS), "a" * 64, 3, len(WEIGHTS) + 100))
        for name in DAYS
    }
    uris = frozenset(version.artifact.uri for version in versions.values())
    published = Published({"default": {"my-model": Model(versions)}}, uris)
    while steps := [step for group in loads.decide(published, cluster.observed(), settings).steps for step in group]:
        for step in steps:
            assert cluster.take(step)
        for job in cluster.names(JOB):
            cluster.finish(job)
    for job in cluster.names(JOB):  # after a day
        cluster.remove(job)
    return cluster


@pytest.fixture
def api(settings: dict[str, Any]) -> Iterator[ApiServer]:
    with running_api_server() as api:
        api.lists = {path: [] for path in LISTS}
        cluster = loaded(Settings.model_validate(settings))
        api.lists |= {path: [cluster.objects[name] for name in cluster.names(kind)] for kind, path in KINDS.items()}
        asked = {"model": "my-model", "version": "1.2.4"}
        uses = injected(version="1.2.4", uri=f"s3://{settings['bucket']}/my-model-1.2.4")
        api.lists[REPLICA_SETS] = [workload("chat-1", ("Deployment", "chat"), **asked)]
        api.lists[PODS] = [pod("chat-1-a", ("ReplicaSet", "chat-1"), injected=uses)]
        yield api


def dry_run(api: ApiServer, settings: dict[str, Any], folder: Path) -> Done:
    file = folder / "settings.yaml"
    file.write_text(yaml.safe_dump(settings))
    env = {"KUBECONFIG": str(api.kubeconfig(folder)), **moto_s3.CREDENTIALS}
    done = run_process("cleanup", "--dry-run", "--config", str(file), **env)
    assert done.returncode == 0, done.stderr
    return done


def test_the_page_shows_what_a_dry_run_prints(api: ApiServer, settings: dict[str, Any], tmp_path: Path) -> None:
    done = dry_run(api, settings, tmp_path)
    artifact = Artifact("my-model", "1.2.3", Source(bucket="my-ml-bucket"))
    name = claim_name("s3-mount", artifact)  # the bucket and the port of this server are in the names that were printed
    notes = re.sub(r"s3-mount-my-model-1\.2\.3-\w+", name, done.stderr)
    notes = re.sub(r"shared-volume-my-model-1\.2\.3-\w+", claim_name("shared-volume", artifact), notes)
    text = indent(f"$ model-injector cleanup --dry-run\n{done.stdout}{notes}", "    ")
    assert text in PAGE, text


def test_the_page_shows_what_a_dry_run_prints_of_expired_claims(
    api: ApiServer, settings: dict[str, Any], tmp_path: Path
) -> None:
    for claim in api.lists[KINDS[CLAIM]]:
        if claim["metadata"]["labels"][f"{PREFIX}/version"] == "1.2.3":
            claim["metadata"]["labels"][f"{PREFIX}/state"] = "expired"
            claim["metadata"]["annotations"][f"{PREFIX}/expired-at"] = "2026-05-01T10:12:45Z"
    done = dry_run(api, settings, tmp_path)
    found = re.search(r"expired at \S+ \S+; removed from \S+ \S+ on", done.stdout)
    assert found
    assert f"`{found[0]}`" in PAGE
