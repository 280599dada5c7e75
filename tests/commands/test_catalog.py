"""`model-injector publish`, `catalog` and `pull`, against a real S3 server."""

import json
import os
import pty
import re
import shlex
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.support import moto_s3
from tests.support.command_line import run

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with moto_s3.serve() as url:
        yield url


@pytest.fixture
def config(s3: str, tmp_path: Path) -> Path:
    settings = {
        "bucket": moto_s3.make_bucket(s3).name,
        "prefix": "model-artifacts",
        "endpointUrl": s3,
        "region": "us-east-1",
        "catalog": {"mode": "s3"},
    }
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(settings))
    return tmp_path / "settings.yaml"


@pytest.fixture
def command(config: Path) -> Command:
    """The command with its settings; the words before `--` in `arguments` are its subcommand."""

    def call(subcommand: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run(*subcommand.split(), "--config", str(config), *arguments, **moto_s3.CREDENTIALS)

    return call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model" / "tokenizer").mkdir(parents=True)
    (tmp_path / "model" / "weights.bin").write_bytes(b"w" * 3000)
    (tmp_path / "model" / "tokenizer" / "vocab.txt").write_text("a\nb\n")
    return tmp_path / "model"


def succeeded(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_from_a_folder_to_a_laptop(command: Command, folder: Path, tmp_path: Path) -> None:
    said = succeeded(command("publish", str(folder), "my-model", "1.2.3", "--tag", "published=true", "--label", "a=b"))
    assert said.startswith("my-model 1.2.3: 2 files, 2.9 KiB, s3://")
    succeeded(command("catalog alias set", "my-model", "champion", "1.2.3"))
    resolved = json.loads(succeeded(command("catalog resolve", "my-model", "@champion", "-o", "json")))
    assert set(resolved) == {"model", "version", "uri", "files", "bytes", "digest", "withdrawn"}
    assert (resolved["version"], resolved["files"], resolved["bytes"]) == ("1.2.3", 2, 3004)
    assert json.loads(succeeded(command("catalog show", "my-model", "1.2.3", "-o", "json"))) == {
        **resolved,
        "image": None,
    }

    said = succeeded(command("pull", "my-model@champion", str(tmp_path / "here")))
    here = tmp_path / "here" / "my-model-1.2.3"
    assert (here / "weights.bin").read_bytes() == (folder / "weights.bin").read_bytes()
    first, second = said.splitlines()
    assert first == "my-model 1.2.3: 2 files, 2.9 KiB, checked by sha256"
    assert shlex.split(second)[:4] == ["docker", "run", "-v", f"{tmp_path / 'here'}:/model-artifacts:ro"]
    assert "MODEL_PATH=/model-artifacts/my-model-1.2.3" in shlex.split(second)


def test_what_there_is_is_listed_for_people_and_for_programs(command: Command, folder: Path) -> None:
    for version in ("1.2.3", "1.10.0"):
        succeeded(command("publish", str(folder), "my-model", version))
    succeeded(command("catalog alias set", "my-model", "champion", "1.2.3"))
    assert succeeded(command("catalog list")).splitlines() == [
        "MODEL      VERSIONS   NEWEST   ALIASES",
        "my-model   2          1.10.0   champion=1.2.3",
    ]
    assert json.loads(succeeded(command("catalog list", "-o", "json"))) == [
        {"model": "my-model", "versions": ["1.10.0", "1.2.3"], "aliases": {"champion": "1.2.3"}, "withdrawn": {}}
    ]
    heads, newest, oldest = succeeded(command("catalog list", "my-model")).splitlines()
    assert heads.split() == ["VERSION", "STATE", "FILES", "SIZE", "CREATED", "ALIASES", "WITHDRAWN"]
    assert newest.split()[:5] == ["1.10.0", "published", "2", "2.9", "KiB"]
    assert oldest.split()[-1] == "champion"
    shown = succeeded(command("catalog show", "my-model"))
    assert "version    1.10.0" in shown
    assert "file       weights.bin  2.9 KiB" in shown


def test_a_dry_run_uploads_nothing(command: Command, folder: Path) -> None:
    said = succeeded(command("publish", str(folder), "my-model", "1.2.3", "--dry-run"))
    assert said.splitlines()[-1] == "would upload 2 of 2 files, 2.9 KiB"
    assert succeeded(command("catalog list")).splitlines() == ["MODEL   VERSIONS   NEWEST   ALIASES"]


@pytest.mark.parametrize(
    ("subcommand", "arguments", "status", "message"),
    [
        ("publish", ("{folder}", "my-model", "1.2.3"), 1, "published already, and versions never change"),
        ("publish", ("{folder}/nothing", "my-model", "2.0.0"), 2, "is not a folder"),
        ("publish", ("{folder}", "my model", "2.0.0"), 2, "model-injector.io/model"),
        ("publish", ("{folder}", "my-model", "^2"), 2, "is not an exact version"),
        ("publish", ("{folder}", "my-model", "2.0.0", "--source", "other"), 2, "no source other; configured: default"),
        ("publish", ("{folder}", "my-model", "2.0.0", "--tag", "published"), 2, "is not KEY=VALUE"),
        ("publish", ("{folder}", "qwen-2.5.1", "7"), 2, "would be read as qwen in version 2.5.1-7"),
        ("catalog resolve", ("my-modle", "1.2.3"), 1, "did you mean my-model?"),
        ("catalog resolve", ("my-model", "1.2.4"), 1, "has no version 1.2.4"),
        ("catalog resolve", ("my-model", "@nobody"), 1, "has no alias @nobody"),
        ("catalog resolve", ("my-model", ">>"), 1, "a range is such as"),
        ("catalog list", ("nothing",), 1, "nothing has no versions in source default"),
        ("catalog alias set", ("my-model", "champion", "9.9.9"), 1, "9.9.9 is absent; publish it first"),
        ("catalog alias set", ("my-model", "a/b", "1.2.3"), 2, "is not an alias"),
        ("catalog alias set", ("my-model", "champion", "^1"), 2, "is not an exact version"),
        ("catalog alias remove", ("my-model", "nobody"), 1, "has no alias nobody"),
        ("catalog withdraw", ("my-model@1.2.3",), 2, "one of the arguments --reason --undo is required"),
        ("catalog withdraw", ("my-model@1.2.3", "--reason", "a\nb"), 2, "one line of at most 300 printable characters"),
        ("catalog withdraw", ("my-model@^1", "--reason", "x"), 2, "has no exact version; write MODEL@VERSION"),
        ("catalog withdraw", ("my-model", "--reason", "x"), 2, "has no exact version; write MODEL@VERSION"),
        (
            "catalog withdraw",
            ("my-model@champion", "--reason", "x"),
            1,
            "for an alias, give the version that it stands",
        ),
        ("catalog withdraw", ("my-model@1.2.3", "--undo"), 1, "my-model 1.2.3 is not withdrawn"),
        ("pull", ("my-model@9.9.9", "{folder}"), 1, "has no version 9.9.9"),
        ("pull", ("my-model:1.2.3", "{folder}"), 2, "write MODEL@VERSION, such as my-model@1.2.3"),
    ],
)
def test_what_cannot_be_done_is_one_line_with_a_remedy(
    command: Command, folder: Path, subcommand: str, arguments: tuple[str, ...], status: int, message: str
) -> None:
    succeeded(command("publish", str(folder), "my-model", "1.2.3"))
    done = command(subcommand, *(argument.replace("{folder}", str(folder)) for argument in arguments))
    assert done.returncode == status
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_s3_that_is_not_there_is_one_line(command: Command, config: Path, folder: Path) -> None:
    config.write_text(config.read_text().replace("http://127.0.0.1", "http://127.0.0.2"))
    done = command("publish", str(folder), "my-model", "1.2.3")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "Could not connect to the endpoint" in line


def test_an_alias_is_removed(command: Command, folder: Path) -> None:
    succeeded(command("publish", str(folder), "my-model", "1.2.3"))
    succeeded(command("catalog alias set", "my-model", "champion", "1.2.3"))
    assert json.loads(succeeded(command("catalog alias set", "my-model", "next", "1.2.3", "-o", "json"))) == {
        "champion": "1.2.3",
        "next": "1.2.3",
    }
    succeeded(command("catalog alias remove", "my-model", "@champion"))
    assert command("catalog resolve", "my-model", "@champion").returncode == 1
    assert succeeded(command("catalog resolve", "my-model", "@next")) == "1.2.3\n"


def test_a_withdrawn_version_is_shown_as_such_and_given_to_nobody(command: Command, folder: Path) -> None:
    for version in ("1.2.3", "1.10.0"):
        succeeded(command("publish", str(folder), "my-model", version))
    succeeded(command("catalog alias set", "my-model", "champion", "1.10.0"))
    done = command("catalog withdraw", "my-model@1.10.0", "--reason", "a wrong tokenizer", "-o", "json")
    withdrawn = json.loads(succeeded(done))
    assert set(withdrawn) == {"model", "version", "withdrawn", "users"}
    assert withdrawn["users"] is None
    assert "`model-injector usage my-model@1.10.0` lists them" in done.stderr
    assert "warning: pods that ask for @champion are refused until it is set" in done.stderr
    assert withdrawn["withdrawn"]["reason"] == "a wrong tokenizer"
    assert "there is one every 30 s" in done.stderr

    assert succeeded(command("catalog list")).splitlines()[1].split() == ["my-model", "2", "1.2.3", "champion=1.10.0"]
    (model,) = json.loads(succeeded(command("catalog list", "-o", "json")))
    assert model["withdrawn"] == {"1.10.0": withdrawn["withdrawn"]}
    _, newest, oldest = succeeded(command("catalog list", "my-model")).splitlines()
    assert newest.endswith("  a wrong tokenizer")
    assert oldest.split()[0] == "1.2.3"
    assert "tokenizer" not in oldest
    of_versions = json.loads(succeeded(command("catalog list", "my-model", "-o", "json")))
    assert [each["withdrawn"] for each in of_versions] == [withdrawn["withdrawn"], None]
    assert re.search(
        "^withdrawn  .* a wrong tokenizer$", succeeded(command("catalog show", "my-model", "1.10.0")), re.M
    )
    assert succeeded(command("catalog resolve", "my-model", "latest")) == "1.2.3\n"

    done = command("catalog resolve", "my-model", "@champion", "-o", "json")
    assert (done.returncode, json.loads(done.stdout)["withdrawn"]) == (1, withdrawn["withdrawn"])
    refused = [
        done,
        command("pull", "my-model@1.10.0", str(folder)),
        command("publish", str(folder), "my-model", "1.10.0"),
        command("catalog alias set", "my-model", "next", "1.10.0"),
    ]
    for done in refused:
        assert done.returncode == 1
        assert re.search(r"my-model 1\.10\.0 was withdrawn at .*Z: a wrong tokenizer; ", done.stderr), done.args
    succeeded(command("catalog withdraw", "my-model@1.10.0", "--undo"))
    assert succeeded(command("catalog resolve", "my-model", "@champion")) == "1.10.0\n"


def test_a_version_that_was_removed_can_be_withdrawn(command: Command) -> None:
    done = command("catalog withdraw", "my-model@1.2.3", "--reason", "leaked")
    assert succeeded(done).startswith("my-model 1.2.3: withdrawn at ")
    assert "warning: my-model 1.2.3 is not in s3://" in done.stderr
    assert succeeded(command("catalog list", "my-model")).splitlines()[1].split()[:2] == ["1.2.3", "absent"]


def test_a_pull_takes_what_is_there_and_mends_what_is_spoiled(command: Command, folder: Path, tmp_path: Path) -> None:
    succeeded(command("publish", str(folder), "my-model", "1.2.3"))
    succeeded(command("pull", "my-model", str(tmp_path / "here")))
    here = tmp_path / "here" / "my-model-1.2.3"
    (here / "weights.bin").write_bytes(b"v" * 3000)
    succeeded(command("pull", "my-model", str(tmp_path / "here")))
    assert (here / "weights.bin").read_bytes() == b"w" * 3000
    (here / "strange.bin").write_bytes(b"x")
    done = command("pull", "my-model", str(tmp_path / "here"))
    assert done.returncode == 2
    assert "strange.bin does not belong to this version" in done.stderr


def test_a_terminal_shows_how_far_it_is_and_a_file_does_not(config: Path, folder: Path) -> None:
    arguments = ["publish", "--config", str(config), str(folder), "my-model"]
    command = [sys.executable, "-m", "webhook", *arguments]
    env = {**os.environ, **moto_s3.CREDENTIALS}
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    subprocess.run([*command, "1.0.0"], stdout=subprocess.PIPE, stderr=theirs, env=env, check=True, timeout=60)
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert "uploading" in shown
    assert "100%" in shown
    quiet = subprocess.run([*command, "1.1.0"], capture_output=True, env=env, check=True, timeout=60)
    assert quiet.stderr == b""
