"""The containers of a Job that loads a model, as kubelet runs them: from S3 into the folder of a volume."""

import json
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.fetching.conftest import Model
from tests.support.container import InitContainer, Running
from tests.support.faults import Stall, download_of
from tests.support.faulty_proxy import FaultyProxy
from tests.support.folder import Folder
from tests.support.kubelet import expand
from tests.support.programs import busybox
from webhook.fetching.container import ROOT
from webhook.fetching.job import load_job, marker
from webhook.fetching.script import MARK, SCRIPT
from webhook.fetching.settings import FetchSettings
from webhook.model.artifact import Artifact
from webhook.model.source import Source

FILES = {"config.json": b"{}", "weights/model.bin": bytes(range(256)) * 5000}
DIGEST = "d" * 64


@dataclass(frozen=True)
class Loader:
    """A Job's pod, and the volume that it fills: `fetch` runs fetch.sh in it."""

    artifact: Artifact
    spec: dict[str, Any]
    volume: Path
    fetch: InitContainer

    @property
    def marker(self) -> Path:
        return self.volume / marker(self.artifact)

    def start(self) -> Running:
        """Start the init container with the Job's own arguments."""
        (container,) = self.spec["initContainers"]
        assert container["command"] == ["/bin/sh", "-c", SCRIPT, MARK]
        uri, target, known, verify, limit, mode, parts, *flags = container["args"]
        assert f"{self.volume}{target.removeprefix(ROOT)}" == str(self.fetch.destination)
        return self.fetch.start(
            uri=uri, known=known, verify=verify, limit=int(limit), mode=mode, parts=int(parts), flags=flags
        )

    def mark(self, failing: str = "") -> int:
        """Run the container after it, in which the program `failing` fails. Returns its exit status."""
        (container,) = self.spec["containers"]
        shell, option, script, name = container["command"]
        assert (shell, option) == ("/bin/sh", "-c")
        path, content = (expand(word, {}) for word in container["args"])
        fault = f"{failing}() {{ false; }}\n" if failing else ""
        command = ["-c", fault + script, name, f"{self.volume}{path.removeprefix(ROOT)}", content]
        env = {"PATH": str(self.fetch.path)}
        return subprocess.run([busybox(), "sh", *command], env=env, check=False).returncode

    def run(self) -> str:
        """Run the pod, whose containers start if its init container has succeeded. Returns the latter's reason."""
        outcome = self.start().wait()
        if outcome.exit_code == 0:
            assert self.mark() == 0
        return outcome.reason


def pod_of_job(artifact: Artifact, settings: FetchSettings) -> dict[str, Any]:
    job = load_job(
        name="load",
        namespace="models",
        labels={},
        volume={"persistentVolumeClaim": {"claimName": "models"}},
        artifact=artifact,
        service_account="loader",
        settings=settings,
    )
    spec: dict[str, Any] = job["spec"]["template"]["spec"]
    return spec


@pytest.fixture
def loader(fetch: InitContainer, model: Model, volume: Folder) -> Loader:
    """The Job of a version that was published with digests."""
    model.write(FILES)
    model.write_sha256sums()
    objects, size = map(int, model.known().split(","))
    artifact = Artifact(
        "my-model",
        "1.2.3",
        Source(bucket=model.bucket, prefix="model-artifacts"),
        files=len(FILES),
        bytes=sum(map(len, FILES.values())),
        digest=DIGEST,
        objects=objects,
        object_bytes=size,
    )
    return Loader(artifact, pod_of_job(artifact, FetchSettings()), volume.path.parent, fetch)


def test_a_load_ends_with_a_marker_beside_the_models_folder(loader: Loader, volume: Folder, model: Model) -> None:
    assert loader.run() == "Complete"
    assert volume.read() == model.read()
    assert loader.marker == volume.path.parent / ".model-injector" / "my-model-1.2.3.json"
    assert json.loads(loader.marker.read_text()) == {
        "model": "my-model",
        "version": "1.2.3",
        "uri": f"s3://{model.bucket}/model-artifacts/my-model-1.2.3",
        "digest": DIGEST,
        "files": 2,
        "bytes": 1_280_002,
    }
    assert {path.name for path in loader.marker.parent.iterdir()} == {loader.marker.name}


def test_a_second_load_of_a_complete_folder_succeeds_and_downloads_nothing(loader: Loader, s3: FaultyProxy) -> None:
    loader.run()
    before = loader.marker.read_text()
    s3.requests.clear()
    assert loader.run() == "Complete"
    assert [request for request in s3.requests if request.is_download()] == []
    assert loader.marker.read_text() == before


def test_an_interrupted_load_leaves_no_marker_and_the_next_one_completes_it(
    loader: Loader, s3: FaultyProxy, volume: Folder, model: Model
) -> None:
    s3.inject(Stall(after=1000), when=download_of("model.bin"))
    run = loader.start()
    s3.wait_for(download_of("model.bin"))
    assert run.kill().exit_code != 0
    assert not loader.marker.parent.exists()
    s3.heal()
    assert loader.run() == "Complete"
    assert volume.read() == model.read()
    assert loader.marker.exists()


def test_a_file_that_differs_from_its_digest_is_not_marked(loader: Loader, model: Model) -> None:
    (model.path / "config.json").write_bytes(b"[]")
    assert loader.run() == "Corrupt"
    assert not loader.marker.exists()


@pytest.mark.parametrize("program", ["sync", "mv"])
def test_a_marker_that_cannot_be_completed_is_not_there(loader: Loader, program: str) -> None:
    assert loader.mark(failing=program) != 0
    assert not loader.marker.exists()
    assert loader.mark() == 0
    assert loader.marker.exists()


def test_a_version_without_digests_is_loaded_by_size(loader: Loader) -> None:
    by_hand = msgspec.structs.replace(loader.artifact, digest=None, objects=None)
    other = replace(loader, artifact=by_hand, spec=pod_of_job(by_hand, FetchSettings()))
    assert other.spec["initContainers"][0]["args"][2:4] == ["-", "size"]
    assert other.run() == "Complete"
    assert json.loads(other.marker.read_text())["digest"] is None


def test_the_pod_has_an_api_token_only_if_a_variable_names_its_folder(loader: Loader) -> None:
    token = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 - a path
    named = FetchSettings(env=({"name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": token},))
    assert loader.spec["automountServiceAccountToken"] is False
    assert "automountServiceAccountToken" not in pod_of_job(loader.artifact, named)


def test_without_a_user_in_the_settings_the_platform_chooses_user_and_group(loader: Loader) -> None:
    spec = pod_of_job(loader.artifact, FetchSettings(run_as_user=None))
    assert spec["securityContext"] == {}
    assert all("runAsUser" not in each["securityContext"] for each in spec["initContainers"] + spec["containers"])
