"""`model-injector advise`: flags, the catalog, the cluster and questions to a recommendation."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import yaml

from tests.support import moto_s3
from tests.support.api_server import ApiServer, running_api_server
from tests.support.command_line import run
from webhook.advice.inputs import INPUTS
from webhook.advice.ways import WAYS
from webhook.cli import main

ROOT = Path(__file__).parents[2]
DRIVERS = "/apis/storage.k8s.io/v1/csidrivers"


def advice(*arguments: str, **env: str) -> dict[str, Any]:
    done = run("advise", *arguments, "-o", "json", **env)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def cluster() -> Iterator[ApiServer]:
    with running_api_server() as api:
        yield api


def test_the_recommendation_is_first_and_the_others_follow_with_the_reason() -> None:
    done = run("advise", "--size", "14Gi", "--replicas", "2", "--price", "bucket=0.02", "--price", "node-disk=0.1")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Size 14.0 GiB, updates a month: 1, replicas: 2, nodes: 2, target: 120 s")
    assert lines[2] == "Recommended: s3-init"
    heads, first, *_ = lines[5:]
    assert heads.split("   ")[0] == "WAY"
    assert heads.endswith("COST A MONTH")
    assert first.split() == ["s3-init", "115", "s", "115", "s", "28.0", "GiB", "56.0", "14", "3.36"]
    titles = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert titles == [
        "Why:",
        "Once:",
        "For each version:",
        "Trade-offs:",
        "Next:",
        "Other ways:",
        "Assumed, because not given:",
    ]
    assert "  - In a cold start, 14.0 GiB pass the node's disk, 125.0 MiB a second: 115 s." in lines
    assert "  $ model-injector publish DIR MODEL VERSION" in lines
    others = lines[lines.index("Other ways:") + 1 : lines.index("Assumed, because not given:") - 1]
    assert len(others) == len(WAYS) - 1
    assert "  - oci-image          a start on a new node takes 230 s, and the target is 120 s" in others
    assert "--updates 1 --replicas-per-node 1 --start-target 2m" in lines[-1]
    assert "--size" not in lines[-1]
    assert "--replicas 2" not in lines[-1]


def test_json_has_the_situation_the_assumptions_and_every_way() -> None:
    found = advice("--size", "14GB", "--updates", "0.5", "--node-bandwidth", "10Gbit/s")
    assert set(found) == {"recommended", "reasons", "situation", "assumed", "ways"}
    assert found["recommended"] == found["ways"][0]["name"] == "s3-init"
    assert found["situation"]["bytes"] == 14_000_000_000
    assert found["situation"]["versionsAMonth"] == 0.5
    assert found["situation"]["nodeBandwidth"] == 1_250_000_000
    assert found["situation"]["csiDrivers"] is None
    assert found["assumed"]["--start-target"] == "2m"
    assert not {"--size", "--updates", "--node-bandwidth"} & set(found["assumed"])
    assert {way["name"] for way in found["ways"]} == {way.name for way in WAYS}
    assert set(found["ways"][0]) == {
        "name",
        "summary",
        "excluded",
        "whyNot",
        "meetsTarget",
        "coldSeconds",
        "warmSeconds",
        "bottleneck",
        "bottleneckBytes",
        "bottleneckBytesPerSecond",
        "transferBytes",
        "stepsInFirstYear",
        "setup",
        "eachVersion",
        "gbMonths",
        "cost",
        "needs",
        "tradeOffs",
        "commands",
    }
    assert found == advice("--size", "14GB", "--updates", "0.5", "--node-bandwidth", "10Gbit/s")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "the size of the model is not known; give --size, such as 14Gi, or a model of the catalog"),
        (("--size", "big"), "'big' is not a size of at most 1Pi, such as 140Gi or 14GB"),
        (("--size", "1Gi", "--start-target", "soon"), "'soon' is not a duration of at most a week, such as 30s or 2m"),
        (("--size", "1Gi", "--coupling", "firm"), "'firm' is not loose or tight"),
        (("--size", "1Gi", "--price", "tape=1"), "'tape=1' is not a kind of storage and a price"),
        (("--size", "1Gi", "--price", "bucket=1", "--price", "bucket=2"), "give each kind of storage once"),
        (("--size", "1Gi", "--replicas-per-node", "2"), "--replicas-per-node 2 is more than --replicas 1; give both"),
        (("--size", "1Gi", "--replicas", "4", "--nodes", "3", "--replicas-per-node", "1"), "give 4 to 4"),
        (("--size", "1Gi", "--cluster", "--platform", "docker"), "--cluster is for Kubernetes"),
        (("--size", "1Gi", "--context", "other"), "give --cluster too"),
        (("--size", "1Gi", "-n", "My_Apps"), "'My_Apps' is not a DNS label"),
        (("my model", "--size", "1Gi"), "'my model' is not a model's name"),
        (("my-model@champion", "--size", "1Gi"), "'@champion' is not an exact version; give one, or leave out --size"),
        (("my-model@1.2.3",), "no bucket is set"),
    ],
)
def test_bad_input_is_one_line_with_a_remedy(arguments: tuple[str, ...], message: str) -> None:
    done = run("advise", *arguments)
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
    assert not done.stdout


def test_no_possible_way_is_status_1_with_the_reasons() -> None:
    done = run("advise", "--size", "60Gi", "--platform", "docker", "--connectivity", "registry")
    assert done.returncode == 1
    assert "No way is possible:" in done.stdout
    assert "application-image  impossible: a COPY of the model is one layer" in done.stdout
    assert "Recommended" not in done.stdout


def test_the_catalog_tells_the_size_and_the_version(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.bin").write_bytes(b"w" * 3000)
    config = tmp_path / "settings.yaml"
    with moto_s3.serve() as url:
        place = {"bucket": moto_s3.make_bucket(url).name, "endpointUrl": url, "region": "us-east-1"}
        config.write_text(yaml.safe_dump({**place, "catalog": {"mode": "s3"}, "defaults": {"mountPath": "/models"}}))
        options = ("--config", str(config))
        done = run("publish", str(tmp_path / "model"), "my-model", "1.2.3", *options, **moto_s3.CREDENTIALS)
        assert done.returncode == 0, done.stderr
        found = advice("my-model", *options, "--platform", "docker", **moto_s3.CREDENTIALS)
        unknown = run("advise", "my-modle", *options, **moto_s3.CREDENTIALS)
    assert found["situation"]["bytes"] == 3000
    assert found["ways"][0]["commands"] == [
        f"model-injector pull my-model@1.2.3 models --config {config}",
        'docker run -v "$PWD/models":/models:ro -e MODEL_PATH=/models/my-model-1.2.3 IMAGE',
    ]
    assert unknown.returncode == 1
    assert "did you mean my-model?" in unknown.stderr


def test_a_model_with_a_size_needs_neither_settings_nor_s3(config: str) -> None:
    assert (
        "model-injector publish DIR my-model 1.2.3" in advice("my-model@1.2.3", "--size", "1Gi")["ways"][0]["commands"]
    )
    found = advice("my-model@1.2.3", "--size", "1Gi", "--config", config)
    assert f"model-injector publish DIR my-model 1.2.3 --config {config}" in found["ways"][0]["commands"]
    assert "model-injector publish DIR my-model VERSION" in advice("my-model", "--size", "1Gi")["ways"][0]["commands"]


def test_the_cluster_tells_its_version_and_its_drivers(cluster: ApiServer, tmp_path: Path) -> None:
    cluster.put("/version", {"major": "1", "minor": "34+", "gitVersion": "v1.34.1-eks-1a2b3c"})
    drivers = ("s3.csi.aws.com", "ebs.csi.aws.com")
    cluster.put(DRIVERS, {"items": [{"metadata": {"name": name}} for name in drivers]})
    found = advice("--size", "60Gi", "--cluster", KUBECONFIG=str(cluster.kubeconfig(tmp_path)))
    assert found["recommended"] == "s3-mount"
    assert found["situation"]["kubernetesMinor"] == 34
    assert found["situation"]["csiDrivers"] == ["ebs.csi.aws.com", "s3.csi.aws.com"]
    assert "--platform" not in found["assumed"]
    excluded = {way["name"]: way["excluded"] for way in found["ways"] if way["excluded"]}
    assert "the cluster has 1.34" in excluded["oci-image"]
    assert {"shared-volume", "volume"} < set(excluded)
    assert cluster.requests == [("GET", "/version"), ("GET", DRIVERS)]


def test_flags_take_precedence_over_the_cluster(cluster: ApiServer, tmp_path: Path) -> None:
    cluster.put("/version", {"gitVersion": "v1.34.1"})
    cluster.put(DRIVERS, {"items": []})
    flags = ("--kubernetes-version", "1.36", "--csi-drivers", "efs.csi.aws.com")
    found = advice("--size", "1Gi", "--cluster", *flags, KUBECONFIG=str(cluster.kubeconfig(tmp_path)))
    assert found["situation"]["kubernetesMinor"] == 36
    assert found["situation"]["csiDrivers"] == ["efs.csi.aws.com"]


def test_what_may_not_be_read_is_a_warning_and_stays_unknown(cluster: ApiServer, tmp_path: Path) -> None:
    cluster.answer = 403
    done = run("advise", "--size", "1Gi", "--cluster", "-o", "json", KUBECONFIG=str(cluster.kubeconfig(tmp_path)))
    version, drivers = done.stderr.splitlines()
    assert version.endswith("the API server answers 403; give --kubernetes-version")
    assert drivers.endswith("this user may not list csidrivers; give --csi-drivers")
    situation = json.loads(done.stdout)["situation"]
    assert (situation["kubernetesMinor"], situation["csiDrivers"]) == (None, None)


@pytest.mark.parametrize(
    ("version", "drivers", "warnings"),
    [
        ({"gitVersion": "v2.0\x1b[2J"}, {"items": [{}]}, ("is not one of Kubernetes 1", "are unknown")),
        ({"gitVersion": 1}, {"items": 1}, ("version is unknown", "are unknown")),
    ],
)
def test_unusable_responses_are_warnings(
    cluster: ApiServer, tmp_path: Path, version: dict[str, Any], drivers: dict[str, Any], warnings: tuple[str, str]
) -> None:
    cluster.put("/version", version)
    cluster.put(DRIVERS, drivers)
    done = run("advise", "--size", "1Gi", "--cluster", KUBECONFIG=str(cluster.kubeconfig(tmp_path)))
    assert done.returncode == 0
    assert all(text in line for text, line in zip(warnings, done.stderr.splitlines(), strict=True))
    assert "\x1b" not in done.stderr


def test_a_cluster_that_does_not_answer_ends_the_command(tmp_path: Path) -> None:
    done = run("advise", "--size", "1Gi", "--cluster", KUBECONFIG=str(ApiServer(1).kubeconfig(tmp_path)))
    assert done.returncode == 1
    assert done.stderr.startswith("model-injector: GET /version: ")
    assert not done.stdout


Run = Callable[[int, Sequence[str]], tuple[int, str]]
"""Runs the command on a terminal: the exit status and the standard output."""


def as_a_process(terminal: int, arguments: Sequence[str]) -> tuple[int, str]:
    command = [sys.executable, "-m", "webhook", *arguments]
    done = subprocess.run(
        command, stdin=terminal, stdout=subprocess.PIPE, stderr=terminal, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout


def in_this_process(terminal: int, arguments: Sequence[str]) -> tuple[int, str]:
    output = StringIO()
    with (
        open(terminal, closefd=False) as stdin,
        open(terminal, "w", closefd=False) as errors,
        patch.object(sys, "stdin", stdin),
        redirect_stdout(output),
        redirect_stderr(errors),
    ):
        return main(arguments), output.getvalue()


def on_a_terminal(answers: str, *arguments: str, by: Run = in_this_process) -> tuple[int, str, str]:
    """The exit status, the standard output, and what the terminal of the input and the errors showed."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answers.encode())
        status, output = by(theirs, ("advise", *arguments))
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += os.read(ours, 65536)
            except OSError:  # it has hung up
                return status, output, shown.decode()
    finally:
        os.close(ours)


def test_a_terminal_is_asked_what_no_flag_tells() -> None:
    answers = "docker\n\nhuge\n200Mi\n4\n\n\n1m\ntight\n"
    status, output, shown = on_a_terminal(answers, "--connectivity", "registry", by=as_a_process)
    assert status == 0
    for entry in INPUTS:
        assert (entry.question in shown) == (entry.flag != "--connectivity") if entry.question else True
    assert "--size 'huge' is not a size of at most 1Pi" in shown
    assert "How long may the model take at the start of a replica? [2m] " in shown
    assert "Recommended: application-image" in output
    assert "Size 200.0 MiB, updates a month: 4, replicas: 1, nodes: 1, target: 60 s, coupling: tight" in output
    assumed = output.splitlines()[-1]
    assert "--versions-kept 2" in assumed
    assert "--replicas" not in assumed  # an empty answer accepts the default


def test_a_terminal_without_an_answer_is_one_line() -> None:
    status, output, shown = on_a_terminal("docker\n\x04")
    assert status == 2
    assert shown.splitlines()[-1].endswith("there is no answer; give --environment, or --yes for the defaults")
    assert not output


@pytest.mark.parametrize("arguments", [("--yes",), ("-o", "json")])
def test_a_terminal_is_not_asked_by_programs(arguments: tuple[str, ...]) -> None:
    status, output, shown = on_a_terminal("", "--size", "1Gi", *arguments)
    assert (status, shown) == (0, "")
    assert "s3-init" in output


def test_the_page_names_every_way_and_every_flag() -> None:
    page = (ROOT / "docs" / "choosing.md").read_text()
    for way in WAYS:
        assert f"| `{way.name}` |" in page
    for entry in INPUTS:
        assert f"`{entry.flag}`" in page
