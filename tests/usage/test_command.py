"""`model-injector usage`, against an API server and a real S3 server."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.support import moto_s3
from tests.support.api_server import ApiServer
from tests.support.command_line import Done, run
from tests.usage.objects import DEPLOYMENTS, JOBS, PODS, REPLICA_SETS, injected, pinned, pod, workload
from webhook.commands import unused
from webhook.commands import usage as command
from webhook.usage.rows import UsageRow

Usage = Callable[..., Done]


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with moto_s3.serve() as url:
        yield url


@pytest.fixture
def bucket(s3: str) -> moto_s3.MotoBucket:
    return moto_s3.make_bucket(s3)


@pytest.fixture
def config(bucket: moto_s3.MotoBucket, tmp_path: Path) -> Path:
    settings = {
        "bucket": bucket.name,
        "endpointUrl": bucket.url,
        "region": "us-east-1",
        "catalog": {"mode": "s3"},
    }
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(settings))
    return tmp_path / "settings.yaml"


@pytest.fixture
def usage(api: ApiServer, config: Path, tmp_path: Path) -> Usage:
    env = {"KUBECONFIG": str(api.kubeconfig(tmp_path)), **moto_s3.CREDENTIALS}
    return lambda *arguments: run("usage", "--config", str(config), *arguments, **env)


@pytest.fixture
def withdraw(api: ApiServer, config: Path, tmp_path: Path) -> Usage:
    env = {"KUBECONFIG": str(api.kubeconfig(tmp_path)), **moto_s3.CREDENTIALS}
    return lambda *arguments: run("catalog", "withdraw", "--config", str(config), *arguments, **env)


@pytest.fixture
def cluster(api: ApiServer, bucket: moto_s3.MotoBucket) -> ApiServer:
    def text(version: str) -> str:
        return injected(version=version, uri=f"s3://{bucket.name}/my-model-{version}")

    api.lists[DEPLOYMENTS] = [workload("chat", model="my-model", version="@champion", pinned=pinned("1.10.0"))]
    api.lists[REPLICA_SETS] = [
        workload("chat-1", ("Deployment", "chat"), model="my-model", version="1.9.0"),
        workload("chat-2", ("Deployment", "chat"), model="my-model", version="1.10.0"),
    ]
    api.lists[PODS] = [
        pod("chat-2-a", ("ReplicaSet", "chat-2"), injected=text("1.10.0")),
        pod("chat-2-b", ("ReplicaSet", "chat-2"), injected=text("1.10.0")),
        pod("other", namespace="ml", injected=text("0.1.0")),
    ]
    return api


def printed(done: Done) -> str:
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_table_has_a_row_for_each_workload_and_version(usage: Usage, cluster: ApiServer) -> None:
    assert cluster
    assert printed(usage()).splitlines() == [
        "MODEL      VERSION   STRATEGY   NAMESPACE   WORKLOAD          PODS   SINCE              STATE",
        "my-model   0.1.0     s3-init    ml          Pod/other         1      2026-05-01 10:00   running",
        "my-model   1.9.0     s3-init    apps        Deployment/chat   0      2026-05-01 10:00   history",
        "my-model   1.10.0    s3-init    apps        Deployment/chat   2      2026-05-01 10:00   running",
    ]


def test_one_model_or_version_is_enough(usage: Usage, cluster: ApiServer) -> None:
    assert cluster
    (row,) = json.loads(printed(usage("my-model@1.10.0", "-o", "json")))
    assert (row["kind"], row["workload"], row["state"]) == ("Deployment", "chat", "running")
    assert row["pods"] == ["chat-2-a", "chat-2-b"]
    assert len(json.loads(printed(usage("my-model", "-o", "json")))) == 3
    assert json.loads(printed(usage("other", "-o", "json"))) == []
    assert printed(usage("other")).splitlines() == [
        "MODEL   VERSION   STRATEGY   NAMESPACE   WORKLOAD   PODS   SINCE   STATE"
    ]


def test_csv_is_what_programs_read(usage: Usage, cluster: ApiServer) -> None:
    assert cluster
    text = printed(usage("-o", "csv"))
    assert text.count("\n") == 4
    heads, first, *_ = csv.reader(io.StringIO(text))
    assert dict(zip(heads, first, strict=True)) == {
        "model": "my-model",
        "version": "0.1.0",
        "strategy": "s3-init",
        "namespace": "ml",
        "workload": "Pod/other",
        "pods": "1",
        "since": "2026-05-01T10:00:05Z",
        "state": "running",
        "withdrawn": "",
    }


@pytest.mark.parametrize("reason", ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1"])
def test_a_reason_is_no_formula_and_steers_no_terminal(capsys: pytest.CaptureFixture[str], reason: str) -> None:
    row = UsageRow("my-model", "1.2.3", "", "", "apps", "Pod", "a", (), None, "running", f'{reason}, "a"\x1b[2J')
    command._print_uses("csv", [row])
    _, cells = csv.reader(io.StringIO(capsys.readouterr().out, newline=""))
    assert cells[-1] == f'\'{reason}, "a"\x1b[2J'
    command._print_uses("table", [row])
    heads, line = capsys.readouterr().out.splitlines()
    assert heads.endswith("STATE     WITHDRAWN")
    assert "\x1b" not in line


def test_an_annotation_that_cannot_be_read_is_a_warning(usage: Usage, api: ApiServer) -> None:
    api.lists[PODS] = [pod(f"pod-{number}", injected="nonsense") for number in range(12)]
    done = usage()
    assert done.returncode == 0
    first, *_, last = done.stderr.splitlines()
    assert first == "warning: Pod apps/pod-0: the annotation model-injector.io/injected cannot be read"
    assert last == "warning: and 2 more of this kind"


def test_what_nothing_uses_is_listed_with_its_size_and_aliases(
    usage: Usage, cluster: ApiServer, config: Path, bucket: moto_s3.MotoBucket, tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.bin").write_bytes(b"w" * 3000)
    options, env = ("--config", str(config)), moto_s3.CREDENTIALS
    for version in ("0.1.0", "1.8.0", "1.9.0", "1.10.0", "2.0.0"):
        printed(run("publish", *options, str(tmp_path / "model"), "my-model", version, **env))
    printed(run("catalog", "alias", "set", *options, "my-model", "next", "2.0.0", **env))
    bucket.put("raw-1.0.0/weights.bin", b"w")
    bucket.put("broken-1.0.0/manifest.json", b"{")
    bucket.put("begun-1.0.0/weights.bin", b"w")
    bucket.put(".publishing/begun-1.0.0", b"")
    cluster.lists[JOBS] = [workload("train", model="my-model", version="^1.2")]
    done = usage("--unused", "-o", "json")
    assert done.stderr.splitlines() == [
        "warning: Job apps/train asks for my-model ^1.2 and is not pinned: each new pod resolves that anew"
    ]
    found = json.loads(done.stdout)
    assert [(each["model"], each["version"], each["state"], each["bytes"]) for each in found] == [
        ("broken", "1.0.0", "unreadable", None),
        ("my-model", "2.0.0", "published", 3000),
        ("my-model", "1.8.0", "published", 3000),
        ("raw", "1.0.0", "unmanaged", 1),
    ]
    assert (found[1]["aliases"], found[2]["aliases"]) == (["next"], [])
    heads, line = usage("--unused", "my-model@2.0.0").stdout.splitlines()
    assert heads.split() == ["MODEL", "VERSION", "SOURCE", "STATE", "SIZE", "CREATED", "ALIASES"]
    assert line.split()[:6] == ["my-model", "2.0.0", "default", "published", "2.9", "KiB"]
    assert usage("--unused", "raw", "-o", "csv").stdout.splitlines()[1].split(",")[:5] == [
        *("raw", "1.0.0", "default", "unmanaged", "1")
    ]


def test_too_many_unused_versions_are_an_error(
    usage: Usage, bucket: moto_s3.MotoBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("1.0.0", "2.0.0"):
        bucket.put(f"raw-{version}/weights.bin", b"w")
    monkeypatch.setattr(unused, "MOST_PUBLISHED", 1)
    done = usage("--unused")
    assert (done.returncode, done.stdout) == (2, "")
    assert "source default has 2 unused versions, and the maximum is 1: name a model" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("my-model@champion@x",), "'champion@x' is not an exact version"),
        (("my-model@^1.2",), "'^1.2' is not an exact version; `model-injector catalog resolve` prints the one"),
        (("my-model@latest",), "'latest' is not an exact version"),
        (("my-model@",), "'' is not an exact version"),
        (("@champion",), "'@champion' is not a model; write MODEL, or MODEL@VERSION"),
        (("--unused", "-n", "apps"), "--unused needs the usage of all namespaces; leave out --namespace"),
        (("-n", "../pods"), "'../pods' is not a DNS label"),
    ],
)
def test_what_cannot_be_asked_is_status_2(usage: Usage, arguments: tuple[str, ...], problem: str) -> None:
    done = usage(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert problem in done.stderr


def test_without_a_catalog_there_is_nothing_that_could_be_unused(usage: Usage, config: Path) -> None:
    config.write_text("bucket: my-ml-bucket\n")
    done = usage("--unused")
    assert (done.returncode, done.stderr) == (2, "model-injector: --unused needs a catalog; set catalog.mode to s3\n")


def test_a_missing_right_is_status_1(usage: Usage, api: ApiServer) -> None:
    api.answer = 403
    done = usage()
    assert (done.returncode, done.stdout) == (1, "")
    assert "the API server answers 403; docs/usage.md has the rights" in done.stderr


def test_the_users_of_a_withdrawn_version_are_listed_when_it_is_withdrawn_and_marked_afterwards(
    usage: Usage, withdraw: Usage, cluster: ApiServer
) -> None:
    assert cluster
    done = withdraw("my-model@1.10.0", "--reason", "=wrong tokenizer")
    assert done.returncode == 0, done.stderr
    first, *table = done.stdout.splitlines()
    assert first.endswith("Z: =wrong tokenizer")
    assert [line.split() for line in table] == [
        ["NAMESPACE", "WORKLOAD", "PODS", "STATE"],
        ["apps", "Deployment/chat", "2", "running"],
    ]
    assert [(row["version"], row["withdrawn"]) for row in json.loads(printed(usage("-o", "json")))] == [
        ("0.1.0", None),
        ("1.9.0", None),
        ("1.10.0", "=wrong tokenizer"),
    ]
    assert printed(usage("my-model@1.10.0")).splitlines()[1].endswith("running   =wrong tokenizer")
    assert printed(usage("-o", "csv")).splitlines()[3].endswith(",running,'=wrong tokenizer")
    found = json.loads(withdraw("my-model@1.10.0", "--reason", "r", "-o", "json").stdout)
    assert [(each["workload"], each["pods"]) for each in found["users"]] == [("chat", ["chat-2-a", "chat-2-b"])]
    assert withdraw("my-model@3.0.0", "--reason", "r").stdout.splitlines()[1] == "no workload of the cluster uses it"


def test_what_is_withdrawn_and_cannot_be_read_is_a_warning(
    usage: Usage, cluster: ApiServer, bucket: moto_s3.MotoBucket
) -> None:
    assert cluster
    bucket.put(".withdrawn/my-model.json", b"{")
    done = usage("my-model@1.10.0")
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 2)
    assert "warning: it is unknown which versions of source default are withdrawn: s3://" in done.stderr
    assert "withdrawals are a JSON object" in done.stderr
