"""`model-injector manifests`: objects of a strategy for kubectl and for a repository."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
import yaml

from tests.support import moto_s3
from tests.support.command_line import Done, run
from tests.support.webhook import SETTINGS
from webhook.errors import InvalidInput
from webhook.model.objects import claim_name, labels
from webhook.strategies import STRATEGIES
from webhook.strategies.s3_init import plan
from webhook.strategies.strategy import ManifestRequest, Manifests, Strategy

Command = Callable[..., Done]


def claims(request: ManifestRequest, settings: object) -> Manifests:  # noqa: ARG001
    """A claim for each version in each namespace."""
    if any(artifact.model == "too-big" for artifact in request.artifacts):
        raise InvalidInput("too-big fits into no volume; set strategies.stub.size")
    return Manifests(
        tuple(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {
                    "name": claim_name("stub", artifact),
                    "namespace": namespace,
                    "labels": labels(request.annotation_prefix, artifact, request.stage or "ready"),
                },
                "spec": {"accessModes": ["ReadOnlyMany"], "size": artifact.bytes},
            }
            for namespace in request.namespaces
            for artifact in request.artifacts
        ),
        files={"policy.json": "{}\n"},
        hints=("kubectl get pvc",),
    )


def classes(request: ManifestRequest, settings: object) -> Manifests:  # noqa: ARG001
    """One object of the cluster for all versions."""
    versions = [artifact.version for artifact in request.artifacts]
    return Manifests(({"kind": "Class", "metadata": {"name": "models"}, "versions": versions},))


STUBS = {
    strategy.name: strategy
    for strategy in (
        Strategy(name="stub", summary="", plan=plan, manifests=claims),
        Strategy(name="stub-staged", summary="", plan=plan, manifests=claims, stages=("loading", "ready")),
        Strategy(name="stub-cluster", summary="", plan=plan, manifests=classes),
    )
}


@pytest.fixture(autouse=True)
def stubs() -> Iterator[None]:
    with patch.dict(STRATEGIES, STUBS):
        yield


@pytest.fixture
def command(config: str) -> Command:
    """The command, without a catalog."""
    return lambda *arguments, **env: run("manifests", *arguments, "--config", config, **env)


def test_objects_are_printed_for_kubectl_and_what_else_to_do_beside_them(command: Command) -> None:
    versions = ("my-org/Model@1.2.3+cu121", "other@1.10", "other@1.10")
    done = command("stub", *versions, "-n", "ml,apps", "--namespace", "apps")
    assert (done.returncode, done.stderr) == (0, "--output DIR also writes policy.json\nkubectl get pvc\n")
    found = list(yaml.safe_load_all(done.stdout))
    assert [(each["metadata"]["namespace"], each["metadata"]["name"].rpartition("-")[0]) for each in found] == [
        ("ml", "stub-my-org-model-1.2.3-cu121"),
        ("ml", "stub-other-1.10"),
        ("apps", "stub-my-org-model-1.2.3-cu121"),
        ("apps", "stub-other-1.10"),
    ]
    assert "model-injector.io/version: '1.10'\n" in done.stdout, "kubectl would read a number"
    assert "&" not in done.stdout, "an alias of YAML"
    again = command("stub", "other@1.10", "my-org/Model@1.2.3+cu121", "--namespace", "ml,apps")
    assert again.stdout == done.stdout


def test_a_strategy_without_objects_says_so_and_prints_nothing(command: Command) -> None:
    done = command("s3-init", "my-model@1.2.3")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "s3-init needs no objects in the cluster\n"


def test_a_strategy_of_the_cluster_needs_no_namespace(command: Command) -> None:
    done = command("stub-cluster", "my-model@1.2.3", "my-model@1.10.0")
    (found,) = yaml.safe_load_all(done.stdout)
    assert (done.stderr, found["versions"]) == ("", ["1.10.0", "1.2.3"])


def test_stages_are_printed_one_by_one(command: Command, config: str) -> None:
    done = command("stub-staged", "my-model@1.2.3", "-n", "ml")
    assert done.returncode == 2
    step = f"model-injector manifests stub-staged my-model@1.2.3 --namespace ml --config {config} --stage"
    assert done.stderr.endswith(f"stub-staged is set up in stages. First: {step} loading; then: {step} ready\n")
    others = command("stub-staged", "my-model@1.2.3", "--source", "research", "--output", "new folder").stderr
    assert f"--config {config} --source research --output 'new folder' --stage ready\n" in others
    (found,) = yaml.safe_load_all(command("stub-staged", "my-model@1.2.3", "-n", "ml", "--stage", "loading").stdout)
    assert found["metadata"]["labels"]["model-injector.io/state"] == "loading"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("stub", "-n", "ml"), 2, "give MODEL@VERSION, or --all-published"),
        (("stub", "my-model@1.2.3"), 2, "the objects of stub are in the namespaces of the pods: give --namespace"),
        (("stub", "my-model@1.2.3", "-n", "ML"), 2, "'ML' is not a list of namespaces, such as apps,ml"),
        (("stub", "my-model@1.2.3", "-n", "ml", "--stage", "x"), 2, "is not set up in stages: leave out --stage"),
        (("stub-staged", "my-model@1.2.3", "--stage", "x"), 2, "in stages, and none is named 'x'. First: "),
        (("stub", "my-model@1.2.3", "--source", "x"), 2, "there is no source x; configured: default"),
        (("stub", "my model@1.2.3", "-n", "ml"), 2, "model-injector.io/model"),
        (("stub", "too-big@1.2.3", "-n", "ml"), 2, "set strategies.stub.size"),
        (("stub", "my-model@champion", "-n", "ml"), 1, "write an exact version such as 1.2.3"),
        (("stub", "--all-published", "-n", "ml"), 2, "--all-published needs a catalog, and catalog.mode is none"),
        (("s3-mnt", "my-model@1.2.3"), 2, "invalid choice: 's3-mnt'"),
    ],
)
def test_what_cannot_be_done_is_one_line_with_a_remedy(
    command: Command, arguments: tuple[str, ...], status: int, message: str
) -> None:
    done = command(*arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_more_than_a_cluster_would_take_is_refused(command: Command) -> None:
    namespaces = ",".join(f"ns-{number}" for number in range(101))
    done = command("stub", *(f"my-model@1.0.{number}" for number in range(100)), "-n", namespaces)
    assert (done.returncode, done.stdout) == (2, "")
    assert "versions times namespaces are more than 10000" in done.stderr


def test_a_folder_gets_all_files_and_only_those_that_it_had_from_here_are_replaced(
    command: Command, tmp_path: Path
) -> None:
    folder = tmp_path / "deploy" / "models"
    done = command("stub", "my-model@1.2.3", "-n", "ml", "--output", str(folder))
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"{folder}/kubernetes.yaml\n{folder}/policy.json\nkubectl get pvc\n"
    assert sorted(path.name for path in folder.iterdir()) == ["kubernetes.yaml", "policy.json"]
    printed = command("stub", "my-model@1.2.3", "my-model@2.0.0", "-n", "ml").stdout
    command("stub", "my-model@1.2.3", "my-model@2.0.0", "-n", "ml", "--output", str(folder))
    assert (folder / "kubernetes.yaml").read_text() == printed

    (folder / "kubernetes.yaml").write_text("kind: List\n")
    done = command("stub", "my-model@1.2.3", "-n", "ml", "--output", str(folder))
    assert done.returncode == 2
    assert f"{folder}/kubernetes.yaml exists, and is not written by this command; give another folder" in done.stderr
    assert (folder / "kubernetes.yaml").read_text() == "kind: List\n"
    assert "cannot be written" in command("stub", "a@1.0.0", "-n", "ml", "--output", "/dev/null").stderr


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Path]:
    """The settings of a bucket with two versions of a model, one of another, and one that was not finished."""
    with moto_s3.serve() as url:
        bucket = moto_s3.make_bucket(url)
        for folder in ("my-model-1.2.3", "my-model-1.10.0", "other-1.0.0", "my-model-2.0.0", ".publishing"):
            bucket.put(f"model-artifacts/{folder}/my-model-2.0.0", b"w" * 3000)
        bucket.put("model-artifacts/.aliases/my-model.json", b'{"champion": "1.2.3"}')
        file = tmp_path / "settings.yaml"
        settings = {"endpointUrl": url, "region": "us-east-1", "catalog": {"mode": "s3"}}
        file.write_text(yaml.safe_dump({**SETTINGS, "bucket": bucket.name, **settings}))
        yield file


def succeeded(*arguments: str) -> Done:
    done = run(*arguments, **moto_s3.CREDENTIALS)
    assert done.returncode == 0, done.stderr
    return done


def test_versions_and_their_sizes_come_from_the_catalog(catalog: Path) -> None:
    def printed(*arguments: str) -> tuple[list[tuple[str, str, int]], subprocess.CompletedProcess[str]]:
        done = succeeded("manifests", "stub", *arguments, "-n", "ml", "--config", str(catalog))
        found = [(each["metadata"]["labels"], each["spec"]["size"]) for each in yaml.safe_load_all(done.stdout)]
        prefix = "model-injector.io"
        return [(each[f"{prefix}/model"], each[f"{prefix}/version"], size) for each, size in found], done

    of_my_model = [("my-model", "1.10.0", 3000), ("my-model", "1.2.3", 3000)]
    found, done = printed("my-model@champion", "my-model", "my-model@1.2.3")
    assert (found, done.stderr.count("\n")) == (of_my_model, 2)
    found, done = printed("--all-published")
    assert found == [*of_my_model, ("other", "1.0.0", 3000)]
    assert "warning: left out: my-model 2.0.0 is not published: its upload was started" in done.stderr
    assert printed("my-model", "--all-published")[0] == of_my_model
    assert succeeded("catalog", "withdraw", "other@1.0.0", "--reason", "a wrong tokenizer", "--config", str(catalog))
    found, done = printed("--all-published")
    assert found == of_my_model
    assert "warning: left out: other 1.0.0 was withdrawn at " in done.stderr
    missing = run(
        "manifests", "stub", "x", "--all-published", "-n", "ml", "--config", str(catalog), **moto_s3.CREDENTIALS
    )
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "x has no versions in source default" in missing.stderr
