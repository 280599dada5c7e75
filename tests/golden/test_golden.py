"""Each manifest of this folder through `/mutate`, `/preview` and the command line: they agree, on what is expected.

A manifest NAME.yaml (or .json) has its expectation in expected/NAME.yaml. Its first line may ask for one of the
installations of world.py: `# settings: catalog`. To write the expectations anew, and then to read what has changed:

    GOLDEN=rewrite scripts/test tests/golden
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jsonpatch
import kubernetes_validate
import pytest
import yaml

from tests.golden import world as worlds
from tests.golden.three_ways import (
    INLINE,
    MADE_KINDS,
    NAMESPACE,
    Reviewed,
    World,
    clipped,
    commanded,
    in_document,
    objects,
    pod_at,
    previewed,
    reviewed,
    shown,
    stored,
)
from tests.support import constants, moto_s3
from tests.support.faults import Answer
from tests.support.faulty_proxy import FaultyProxy
from tests.support.reviews import review
from tests.support.webhook import running_webhook
from webhook.model.refusals import Refusal

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:kubernetes_validate")
FOLDER = Path(__file__).parent
MANIFESTS = sorted(file for file in FOLDER.iterdir() if file.suffix in (".yaml", ".json"))
UNNAMED = (*INLINE, *MADE_KINDS, "Service")
"""Kinds whose controllers have to fill in what a pod's container needs."""
REWRITE = os.environ.get("GOLDEN") == "rewrite"
WorldOf = Callable[[Path], World]


def expectation(manifest: Path) -> Path:
    return FOLDER / "expected" / f"{manifest.stem}.yaml"


@pytest.fixture(scope="session")
def world_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorldOf]:
    """Gives the installation that a manifest asks for; each runs once."""
    running = dict[str, World]()
    with ExitStack() as stack:
        stack.enter_context(pytest.MonkeyPatch.context()).setattr(os, "environ", {**os.environ, **moto_s3.CREDENTIALS})
        s3 = stack.enter_context(moto_s3.serve())
        worlds.publish_all(s3)
        denying = stack.enter_context(FaultyProxy(s3))
        denying.inject(
            Answer(403, b"<Error><Code>AccessDenied</Code></Error>"), lambda request: "my-model-1.2.3" in request.target
        )
        names = {s3: worlds.ENDPOINT, denying.url: worlds.DENIED}

        def begin(manifest: Path) -> World:
            name = settings_of(manifest)
            if name not in running:
                folder = tmp_path_factory.mktemp(name)
                text = yaml.safe_dump({**worlds.SETTINGS[name], "preview": {"auth": "none"}})
                for address, placeholder in names.items():
                    text = text.replace(placeholder, address)
                webhook = stack.enter_context(
                    running_webhook(
                        folder,
                        yaml.safe_load(text),
                        env=moto_s3.CREDENTIALS,
                        program=constants.program(constants.PATIENT),
                    )
                )
                kinds = worlds.KINDS if name == "kinds" else ()
                client = stack.enter_context(webhook.client())
                running[name] = World(webhook, client, folder / "settings.yaml", names, kinds)
            return running[name]

        yield begin


def settings_of(manifest: Path) -> str:
    found = re.match(r"# settings: (\w+)\n", manifest.read_text())
    return found[1] if found else "plain"


def subclasses(parent: type[Refusal]) -> Iterator[type[Refusal]]:
    for child in parent.__subclasses__():
        yield child
        yield from subclasses(child)


of_manifests = pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: manifest.stem)


def expected_of(manifest: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.load(expectation(manifest).read_text(), yaml.CSafeLoader)
    return found


@of_manifests
def test_the_three_ways_agree_on_what_is_expected(
    manifest: Path, world_of: WorldOf, capsys: pytest.CaptureFixture[str]
) -> None:
    world = world_of(manifest)
    documents = world.plain(previewed(world, manifest.read_bytes()))
    status, printed = commanded(world, manifest, capsys)
    assert world.plain(printed) == documents
    assert status == (0 if all(document["allowed"] for document in documents) else 1)
    if REWRITE:
        text = yaml.safe_dump([shown(document) for document in documents], sort_keys=False, width=120)
        expectation(manifest).write_text(text)
    assert [shown(document) for document in documents] == expected_of(manifest)
    sent = list(objects(manifest.read_bytes()))
    assert len(sent) == len(documents)
    for (found, asked), document in zip(sent, expected_of(manifest), strict=True):
        assert_mutate_does_the_same(world, found, asked, document)


def assert_mutate_does_the_same(world: World, found: Any, asked: Any, document: dict[str, Any]) -> None:
    """The object is stored, and the pods that are made of it are created, each with its own review."""
    if asked:
        assert_same(world, reviewed(world, asked), document)
        return
    namespace = found.get("metadata", {}).get("namespace", NAMESPACE)
    if found["kind"] == "Pod":
        assert_same(world, reviewed(world, review(found, namespace)), document)
        return
    kept, answer = stored(world, found, namespace)
    assert answer.allowed
    told = [each for each in answer.warnings if "will be refused: " not in each]
    assert set(world.plain(told)) <= set(clipped(document["warnings"]))
    patch = answer.patch
    for pod in document["pods"]:
        of_pod = reviewed(world, review(pod_at(kept, pod["path"]), namespace))
        assert_same(world, of_pod, pod)
        if found["kind"] not in MADE_KINDS:
            patch = patch + [in_document(found, pod["path"], each) for each in of_pod.patch]
    assert world.plain(patch) == document["patch"]


def assert_same(world: World, answer: Reviewed, expected: dict[str, Any]) -> None:
    assert answer.allowed == (expected["decision"] != "refused")
    assert world.plain(answer.message) == expected["message"]
    assert world.plain(answer.warnings) == clipped(expected["warnings"])
    assert world.plain(answer.patch) == expected["patch"]


@of_manifests
def test_the_patch_makes_the_manifest_the_pods_are_valid_and_need_no_more(manifest: Path, world_of: WorldOf) -> None:
    world = world_of(manifest)
    documents = previewed(world, manifest.read_bytes())
    for (found, asked), document in zip(objects(manifest.read_bytes()), documents, strict=True):
        assert jsonpatch.apply_patch(found, document["patch"]) == document["manifest"]
        for pod in document["pods"] or [document]:
            if pod["decision"] == "injected" and document["kind"] not in UNNAMED:
                kubernetes_validate.validate(
                    {"apiVersion": "v1", "kind": "Pod", **pod["manifest"]}, "1.37", strict=True
                )
        if not asked and document["allowed"]:
            again = previewed(world, json.dumps(document["manifest"]).encode())
            assert [each["patch"] for each in again] == [[]]


def test_there_are_many_of_them_and_each_has_its_expectation() -> None:
    assert len(MANIFESTS) >= 40
    assert {expectation(manifest) for manifest in MANIFESTS} == set((FOLDER / "expected").iterdir())


def test_every_refusal_is_among_them() -> None:
    refusals = {refusal.reason for refusal in subclasses(Refusal)}
    expected = {document["reason"] for manifest in MANIFESTS for document in expected_of(manifest)}
    assert refusals <= expected
