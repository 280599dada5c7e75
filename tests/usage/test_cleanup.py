"""`model-injector cleanup`, against an API server and a real S3 server."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import moto_s3
from tests.support.api_server import ApiServer
from tests.support.command_line import Done, run_process
from tests.usage.objects import PODS, injected, pod
from webhook.catalog.bucket.manifest import Manifest, ManifestFile, sums
from webhook.catalog.bucket.store import Store
from webhook.model.source import Source

CLAIMS = "/api/v1/persistentvolumeclaims"
NAMESPACED = "/api/v1/namespaces/apps/persistentvolumeclaims"
TAG = "model-injector=expired"


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with moto_s3.serve() as url:
        yield url


@pytest.fixture
def bucket(s3: str) -> moto_s3.MotoBucket:
    """A bucket with three versions that were published long ago."""
    bucket = moto_s3.make_bucket(s3)
    for version in ("1.0.0", "1.1.0", "2.0.0"):
        files = (ManifestFile("weights.bin", 1, hashlib.sha256(b"w").hexdigest()),)
        manifest = Manifest("my-model", version, datetime(2020, 1, 1, tzinfo=UTC), files)
        bucket.put(f"my-model-{version}/weights.bin", b"w")
        bucket.put(f"my-model-{version}/SHA256SUMS", sums(files))
        bucket.put(f"my-model-{version}/manifest.json", manifest.encode())
    return bucket


@pytest.fixture
def settings(bucket: moto_s3.MotoBucket) -> dict[str, Any]:
    return {
        "bucket": bucket.name,
        "endpointUrl": bucket.url,
        "region": "us-east-1",
        "catalog": {"mode": "s3"},
        "loads": [{"strategy": "s3-mount", "namespaces": ["apps"]}],
        "controller": {"cleaning": {"keep": 1}},
    }


@pytest.fixture
def cleanup(
    api: ApiServer, settings: dict[str, Any], bucket: moto_s3.MotoBucket, tmp_path: Path
) -> Callable[..., Done]:
    """The command in a cluster in which a pod runs 1.1.0 and nothing runs 1.0.0, which has a claim."""
    annotations = {"model-injector.io/uri": f"s3://{bucket.name}/my-model-1.0.0", "model-injector.io/digest": "a"}
    managed = {"app.kubernetes.io/managed-by": "model-injector"}
    labels = {**managed, "model-injector.io/model": "my-model", "model-injector.io/version": "1.0.0"}
    metadata = {"name": "s3-mount-my-model-1.0.0", "namespace": "apps", "uid": "1", "resourceVersion": "1"}
    claim = {"metadata": {**metadata, "labels": labels, "annotations": annotations}}
    api.lists |= {CLAIMS: [claim], "/api/v1/persistentvolumes": [], "/api/v1/namespaces": []}
    api.lists[PODS] = [pod("web", injected=injected(version="1.1.0", uri=f"s3://{bucket.name}/my-model-1.1.0"))]

    def command(*arguments: str) -> Done:
        file = tmp_path / "settings.yaml"
        file.write_text(yaml.safe_dump(settings))
        env = {"KUBECONFIG": str(api.kubeconfig(tmp_path)), **moto_s3.CREDENTIALS}
        return run_process("cleanup", "--config", str(file), *arguments, **env)

    return command


def test_a_dry_run_says_why_and_changes_nothing(cleanup: Callable[..., Done], api: ApiServer) -> None:
    done = cleanup("--dry-run")
    heads, *rows = (line.split("   ") for line in done.stdout.splitlines())
    assert [head.strip() for head in heads if head] == ["MODEL", "VERSION", "SIZE", "CLAIMS", "REMOVED", "REASON"]
    found = {
        row[1].strip(): (row[-2].strip(), row[-1].strip()) for row in ([part for part in row if part] for row in rows)
    }
    assert found["1.0.0"][0] == "yes"
    assert found["1.0.0"][1].endswith("newer versions: 2")
    assert found["1.1.0"] == ("no", "Pod apps/web: running")
    assert found["2.0.0"] == ("no", "one of the newest 1")
    assert "label PersistentVolumeClaim/apps/s3-mount-my-model-1.0.0" in done.stderr
    assert {method for method, _ in api.requests} == {"GET"}


def test_the_first_run_lets_claims_expire(cleanup: Callable[..., Done], api: ApiServer) -> None:
    done = cleanup("-o", "json")
    assert [each["version"] for each in json.loads(done.stdout) if each["is_removed"]] == ["1.0.0"]
    path = "/api/v1/namespaces/apps/persistentvolumeclaims/s3-mount-my-model-1.0.0"
    assert ("PATCH", path) in api.requests
    assert "DELETE" not in {method for method, _ in api.requests}


def test_objects_in_s3_are_tagged_once_the_cluster_has_none(
    cleanup: Callable[..., Done],
    api: ApiServer,
    settings: dict[str, Any],
    bucket: moto_s3.MotoBucket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in moto_s3.CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    settings["controller"]["cleaning"]["s3Tag"] = TAG
    cleanup()
    source = Source(bucket=bucket.name, endpoint_url=bucket.url, region="us-east-1")
    with closing(Store(source)) as store:
        keys = [f"my-model-1.0.0/{name}" for name in ("weights.bin", "SHA256SUMS", "manifest.json")]
        assert [store.tags(key) for key in keys] == [{}, {}, {}]
        api.lists[CLAIMS] = []
        store.add_tag(keys[0], "team=ml")
        done = cleanup()
        assert (done.returncode, f"tagged s3://{bucket.name}/my-model-1.0.0" in done.stderr) == (0, True)
        expired = {"model-injector": "expired"}
        assert [store.tags(key) for key in keys] == [{"team": "ml", **expired}, expired, expired]
        assert store.tags("my-model-1.1.0/manifest.json") == {}
    assert "tagged" not in cleanup().stderr


@pytest.mark.parametrize(
    ("change", "status", "problem"),
    [
        ({"catalog": {"mode": "none"}}, 2, "cleanup reads the catalog: set catalog.mode to s3"),
        ({"bucket": "no-such-bucket"}, 1, "source default: "),
    ],
)
def test_without_a_catalog_nothing_is_removed(
    cleanup: Callable[..., Done], settings: dict[str, Any], change: dict[str, Any], status: int, problem: str
) -> None:
    settings |= change
    done = cleanup()
    assert (done.returncode, done.stdout) == (status, "")
    assert problem in done.stderr


def test_a_version_is_kept_where_uses_may_be_missing(
    cleanup: Callable[..., Done], api: ApiServer, settings: dict[str, Any]
) -> None:
    settings["controller"]["cleaning"]["s3Tag"] = TAG
    api.lists[PODS].append(pod("odd", injected="not JSON"))
    problem = "Pod apps/odd: the annotation model-injector.io/injected cannot be read"
    done = cleanup()
    assert done.returncode == 0
    assert f"no        uses may be missing: {problem}" in done.stdout
    assert f"warning: {problem}" in done.stderr
    assert {method for method, _ in api.requests} == {"GET"}
    api.lists[CLAIMS] = []
    assert "tag" not in cleanup().stderr


def test_without_all_of_a_list_nothing_is_removed(cleanup: Callable[..., Done], api: ApiServer) -> None:
    del api.lists[PODS]
    done = cleanup()
    assert (done.returncode, done.stdout) == (1, "")
    assert "GET /api/v1/pods" in done.stderr


@pytest.mark.parametrize("status", [403, 409])
def test_the_steps_of_a_version_end_at_the_first_that_is_not_taken_and_others_go_on(
    cleanup: Callable[..., Done],
    api: ApiServer,
    status: int,
    bucket: moto_s3.MotoBucket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The claims of two versions are due; the API server refuses the first deletion of one."""
    (claim,) = api.lists[CLAIMS]
    claims = [
        expired(claim, bucket, version, name) for version, name in (("0.1.0", "a"), ("0.1.0", "b"), ("0.2.0", "c"))
    ]
    api.lists[CLAIMS] = claims
    for each in claims:
        api.objects[f"{NAMESPACED}/{each['metadata']['name']}"] = each
    delete = api.delete
    monkeypatch.setattr(api, "delete", lambda path, body: (status, {}) if path.endswith("/a") else delete(path, body))
    done = cleanup()
    assert [path for method, path in api.requests if method == "DELETE"] == [f"{NAMESPACED}/a", f"{NAMESPACED}/c"]
    assert "delete PersistentVolumeClaim/apps/c: ok" in done.stderr
    assert f"{NAMESPACED}/b" in api.objects
    assert done.returncode == (0 if status == 409 else 1), "after a conflict, the next run decides again"


def expired(claim: dict[str, Any], bucket: moto_s3.MotoBucket, version: str, name: str) -> dict[str, Any]:
    """A claim that is due, of a version that the catalog has no longer."""
    metadata = claim["metadata"]
    labels = {"model-injector.io/state": "expired", "model-injector.io/version": version}
    annotations = {
        "model-injector.io/uri": f"s3://{bucket.name}/my-model-{version}",
        "model-injector.io/expired-at": "2020-01-01T00:00:00Z",
    }
    changed = {
        "name": name,
        "creationTimestamp": "2020-01-01T00:00:00Z",
        "labels": {**metadata["labels"], **labels},
        "annotations": annotations,
    }
    return {"metadata": {**metadata, **changed}}


def test_a_dry_run_shows_what_would_be_tagged_and_what_would_lose_the_tag(
    cleanup: Callable[..., Done],
    api: ApiServer,
    settings: dict[str, Any],
    bucket: moto_s3.MotoBucket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in moto_s3.CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    settings["controller"]["cleaning"]["s3Tag"] = TAG
    api.lists[CLAIMS] = []
    for name in ("weights.bin", "SHA256SUMS", "manifest.json"):
        moto_s3.tag(bucket, f"my-model-1.1.0/{name}", {"model-injector": "expired", "team": "ml"})
    done = cleanup("--dry-run")
    lines = [f"tag s3://{bucket.name}/my-model-1.0.0", f"untag s3://{bucket.name}/my-model-1.1.0"]
    assert (done.returncode, done.stderr.splitlines()) == (0, lines)
    source = Source(bucket=bucket.name, endpoint_url=bucket.url, region="us-east-1")
    with closing(Store(source)) as store:
        assert store.tags("my-model-1.0.0/manifest.json") == {}
        assert "model-injector" in store.tags("my-model-1.1.0/manifest.json")
        assert cleanup().returncode == 0
        assert store.tags("my-model-1.1.0/manifest.json") == store.tags("my-model-1.1.0/weights.bin") == {"team": "ml"}
        assert store.tags("my-model-1.0.0/manifest.json") == {"model-injector": "expired"}
    assert cleanup("--dry-run").stderr == ""


def test_a_tag_that_cannot_be_written_is_an_error(
    cleanup: Callable[..., Done],
    api: ApiServer,
    settings: dict[str, Any],
    bucket: moto_s3.MotoBucket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in moto_s3.CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    settings["controller"]["cleaning"]["s3Tag"] = TAG
    api.lists[CLAIMS] = []
    moto_s3.tag(bucket, "my-model-1.0.0/weights.bin", {f"tag-{number}": "x" for number in range(10)})
    done = cleanup()
    assert done.returncode == 1
    assert f"the tags of s3://{bucket.name}/my-model-1.0.0: " in done.stderr
