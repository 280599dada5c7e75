"""The process: the settings that it needs, what it reads and counts, and how it ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import yaml

from tests.support import moto_s3
from tests.support.api_server import ApiServer
from tests.support.moto_s3 import MotoBucket
from tests.support.polling import until
from webhook.controller import run
from webhook.controller.cluster import lease
from webhook.controller.metrics import ControllerMetrics
from webhook.controller.run import Controller, control
from webhook.controller.steps import CLAIMS, JOBS, NAMESPACES, PODS, REFERENCES
from webhook.settings import Settings
from webhook.settings.loading import InvalidSettings

LEASE = "/apis/coordination.k8s.io/v1/namespaces/system/leases/model-injector-controller"
IMAGES = {"strategy": "oci-image", "image": "registry.example.com/models/{model}"}
SHARED = {"strategy": "shared-volume"}


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with moto_s3.serve() as url:
        yield url


@pytest.fixture
def bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> MotoBucket:
    """One without models."""
    for name, value in moto_s3.CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return moto_s3.make_bucket(s3)


def settings_of(bucket: MotoBucket, **changes: Any) -> dict[str, Any]:
    """Settings with loads in two namespaces, and progress."""
    return {
        "bucket": bucket.name,
        "region": "us-east-1",
        "endpointUrl": bucket.url,
        "catalog": {"mode": "s3"},
        "inventory": {"enabled": True},
        "loads": [IMAGES, SHARED],
        "strategies": {"shared-volume": {"storageClass": "nfs", "namespace": "models"}},
        "controller": {"namespace": "system", "progress": {"enabled": True}},
        "server": {"host": "127.0.0.1", "opsPort": 0},
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"catalog": {"mode": "none"}}, "set catalog.mode to s3"),
        ({"inventory": {"enabled": False}}, "loads by shared-volume: set inventory.enabled"),
        (
            {
                "inventory": {"enabled": False},
                "loads": [],
                "controller": {"namespace": "system", "cleaning": {"enabled": True}},
            },
            "controller.cleaning: set inventory.enabled",
        ),
        ({"loads": [{**IMAGES, "versions": ">=a"}]}, r"loads\[0\]\.versions '>=a' is invalid"),
        ({"controller": {}}, "set controller.namespace"),
    ],
)
def test_settings_that_lack_something_are_refused(bucket: MotoBucket, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidSettings, match=problem):
        control(Settings(**settings_of(bucket, **changes)))


@pytest.fixture
def collections(api: ApiServer) -> None:
    """The lists of what loads and progress are about, all of them empty."""
    for path in (
        *(NAMESPACES.path(""), CLAIMS.path(""), REFERENCES.path(""), PODS.path("")),
        *(JOBS.path("models"), JOBS.path("system")),
    ):
        api.lists[path] = []


@pytest.mark.usefixtures("client", "collections")
def test_jobs_are_read_only_in_the_namespaces_that_have_some(api: ApiServer, bucket: MotoBucket) -> None:
    stopped = Event()
    controller = Controller(Settings(**settings_of(bucket)), ControllerMetrics(), stopped, "me")
    controller.start()
    until(lambda: len({path for _, path in api.requests}) == len(api.lists))
    stopped.set()
    controller.close()
    assert {path for _, path in api.requests} == api.lists.keys()


@pytest.mark.usefixtures("client", "collections")
def test_an_area_does_not_wait_for_what_only_others_read(
    api: ApiServer, bucket: MotoBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the right to list pods there is no progress, and there are loads."""
    del api.lists[PODS.path("")]
    stopped, decided = Event(), Event()
    monkeypatch.setattr("webhook.controller.areas.Loads.decide", lambda *_: decided.set())
    monkeypatch.setattr("webhook.controller.areas.Progress.decide", lambda *_: pytest.fail("it knows no pods"))
    controller = Controller(Settings(**settings_of(bucket)), ControllerMetrics(), stopped, "me")
    controller.start()
    assert decided.wait(60)
    stopped.set()
    controller.close()


@pytest.mark.usefixtures("client", "collections")
def test_whoever_loses_the_lease_ends_with_an_error_and_its_requests_are_counted(
    api: ApiServer, bucket: MotoBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "_RENEWAL_SECONDS", 0.01)
    metrics = ControllerMetrics()
    with ThreadPoolExecutor() as thread:
        ended = thread.submit(run._control, Settings(**settings_of(bucket)), metrics, Event())
        until(lambda: LEASE in api.objects)
        api.put(LEASE, {"spec": {"holderIdentity": "somebody", "renewTime": "now", "leaseDurationSeconds": 15}})
        assert ended.result(60) == 1
    assert api.objects[LEASE]["spec"]["holderIdentity"] == "somebody"
    rendered = metrics.render().decode()
    assert 'model_injector_controller_requests_total{method="GET",status="404"} 1.0' in rendered
    assert 'model_injector_controller_requests_total{method="POST",status="201"} 1.0' in rendered


@pytest.mark.parametrize(("own", "owners"), [("system", ["uid-1"]), ("elsewhere", []), (None, [])])
@pytest.mark.usefixtures("client", "collections")
def test_the_lease_belongs_to_the_pod_only_in_the_namespace_of_the_pod(
    api: ApiServer,
    bucket: MotoBucket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    own: str | None,
    owners: list[str],
) -> None:
    """Kubernetes looks for an owner in the namespace of the object, and deletes the object if it is not there."""
    if own:
        (tmp_path / "namespace").write_text(own)
    monkeypatch.setattr(run, "_NAMESPACE_FILE", tmp_path / "namespace")
    monkeypatch.setenv("POD_NAME", "controller-1")
    monkeypatch.setenv("POD_UID", "uid-1")
    stopped = Event()
    with ThreadPoolExecutor() as thread:
        ended = thread.submit(run._control, Settings(**settings_of(bucket)), ControllerMetrics(), stopped)
        until(lambda: LEASE in api.objects)
        found = [owner["uid"] for owner in api.objects[LEASE]["metadata"].get("ownerReferences", ())]
        stopped.set()
        assert ended.result(60) == 0
    assert found == owners


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.usefixtures("client", "collections")
def test_a_process_that_is_told_to_end_lets_another_replica_lead_at_once(
    api: ApiServer, bucket: MotoBucket, tmp_path: Path, number: signal.Signals
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump(settings_of(bucket)))
    command = [sys.executable, "-m", "webhook", "controller", "--config", str(file)]
    with subprocess.Popen(command, env=os.environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        until(lambda: api.objects.get(LEASE, {"spec": {}})["spec"].get("holderIdentity"))
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert api.objects[LEASE]["spec"]["holderIdentity"] == ""
