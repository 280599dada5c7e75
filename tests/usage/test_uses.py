"""Uses of versions, from what was observed: their folders, sources and owners, and what cannot be read."""

from datetime import UTC, datetime

import pytest

from tests.usage.objects import PREFIX, URI, injected, pinned
from webhook.annotations.pinned import Pin, Pins
from webhook.catalog.resolution import VersionKey
from webhook.model.artifact import Artifact
from webhook.settings import Settings
from webhook.usage.observed import Observed, ObservedPod, ObservedTemplate, Problem, Workload
from webhook.usage.rows import rows
from webhook.usage.uses import Usage, UsedVersion, usage

APP = Workload("apps", "Deployment", "chat")
MAY, JUNE = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)


def running(text: str, name: str = "chat-1", owner: Workload | None = APP, since: datetime = MAY) -> ObservedPod:
    return ObservedPod(Workload("apps", "Pod", name), owner, text, since)


def asking(**annotations: str) -> ObservedTemplate:
    named = {f"{PREFIX}/{name.replace('_', '-')}": value for name, value in annotations.items()}
    return ObservedTemplate(APP, None, named)


def used(found: Usage) -> list[UsedVersion]:
    assert found.problems == ()
    return [use.used for use in found.uses]


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ({"model": "m", "version": "1.0.0"}, ["m 1.0.0 s3-init default"]),
        ({"model": "m", "version": "1.0.0", "source": "staging"}, ["m 1.0.0 s3-init staging"]),
        ({"model": "m", "version": "1.0.0", "strategy": "s3-mount"}, ["m 1.0.0 s3-mount default"]),
        ({"model": "m", "version": "1.0.0", "strategy": "s3-mount, s3-init"}, ["m 1.0.0  default"]),
        (
            {
                "model": "m",
                "version": "1.0.0",
                "strategy": "s3-mount, s3-init",
                "pinned": Pins((Pin("default", "m", "1.0.0", "1.0.0", ("s3-mount", "s3-init"), "s3-mount"),)).encode(),
            },
            ["m 1.0.0 s3-mount default"],
        ),
        ({"models": "[{model: m, version: 1.0.0}, {model: n, version: 2.0.0}]"}, ["m 1.0.0", "n 2.0.0"]),
        ({"model": "m", "version": "@champion", "pinned": pinned("1.0.0", model="m")}, ["m 1.0.0 s3-init default"]),
        # the pin of a reference that has changed since is still counted, and so is that of an invalid template
        ({"model": "m", "version": "2.0.0", "pinned": pinned("1.0.0", model="m")}, ["m 2.0.0", "m 1.0.0"]),
        ({"model": "m m", "version": "2.0.0", "pinned": pinned("1.0.0", model="m")}, ["m 1.0.0  default"]),
        ({"model": "m", "version": "1.0.0", "source": "gone"}, []),
        ({"model": "m", "version": "1.0.0", "inject": "false"}, []),
        ({"model": "m", "version": "@champion"}, []),
    ],
)
def test_a_template_pins_what_its_pods_will_get(
    settings: Settings, annotations: dict[str, str], expected: list[str]
) -> None:
    found = used(usage(Observed(templates=(asking(**annotations),)), settings))
    in_words = [f"{each.model} {each.version} {each.strategy} {','.join(each.sources)}" for each in found]
    assert [text.startswith(words) for text, words in zip(in_words, expected, strict=True)] == [True] * len(expected)


def test_a_use_is_one_of_the_folder_that_its_pod_was_given(settings: Settings) -> None:
    sources = settings.all_sources
    mine, staged = (Artifact("my-model", "1.2.3", sources[name]) for name in ("default", "staging"))
    found = usage(Observed((running(injected()),)), settings)
    assert [use.used.uri for use in found.of(mine)] == [URI]
    assert found.of(staged) == ()
    assert found.of(Artifact("my-model", "1.2.4", sources["default"])) == ()


def test_a_use_of_a_folder_that_is_no_longer_configured_counts_for_every_source(settings: Settings) -> None:
    """Clean-up must not take a version for unused because somebody has changed the prefix."""
    moved = running(injected(uri="s3://my-ml-bucket/before/my-model-1.2.3"))
    template = asking(model="m", version="@champion", pinned=pinned(source="gone"))
    found = usage(Observed((moved,), (template,)), settings)
    for source in settings.all_sources.values():
        assert {use.state for use in found.of(Artifact("my-model", "1.2.3", source))} == {"running", "pinned"}
        assert found.of(Artifact("my-model", "1.2.4", source)) == ()


def test_two_names_of_one_folder_are_one_use(settings: Settings) -> None:
    found = usage(Observed((running(injected("a", "b-1")),)), settings)
    assert len(found.of(Artifact("a-b", "1", settings.all_sources["default"]))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "nonsense",
        '[{"model": "my-model"}]',
        injected("=cmd"),
        injected(version="\x1b[2J"),
        injected(version="latest"),
        injected(strategy="@sum"),
        injected(uri="s3://a\n"),
        injected(asked="a\x9b"),
    ],
)
def test_an_annotation_that_the_webhook_did_not_write_is_a_problem_and_no_use(settings: Settings, text: str) -> None:
    found = usage(Observed((running(text),)), settings)
    assert found.uses == ()
    assert found.problems == (
        Problem("apps", "Pod apps/chat-1: the annotation model-injector.io/injected cannot be read"),
    )


def test_pins_that_cannot_be_read_are_a_problem(settings: Settings) -> None:
    found = usage(Observed(templates=(asking(model="m", version="^1", pinned="{"),)), settings)
    assert found.problems == (
        Problem("apps", "Deployment apps/chat: the annotation model-injector.io/pinned cannot be read"),
    )


def test_owners_in_a_circle_end(settings: Settings) -> None:
    first, second = (Workload("apps", "Job", name) for name in ("a", "b"))
    templates = (
        ObservedTemplate(first, second, {f"{PREFIX}/model": "m"}),
        ObservedTemplate(second, first, {f"{PREFIX}/model": "m"}),
    )
    found = usage(Observed((running(injected(), owner=first),), templates), settings)
    assert found.uses[0].workload in (first, second)


def test_a_workload_has_a_row_for_each_version_with_the_first_state_that_holds(settings: Settings) -> None:
    old, new = (
        ObservedTemplate(Workload("apps", "ReplicaSet", name), APP, asks.annotations, is_history=True, since=since)
        for name, asks, since in (
            ("chat-a", asking(model="my-model", version="1.9.0"), MAY),
            ("chat-b", asking(model="my-model", version="1.10.0"), JUNE),
        )
    )
    pods = (
        running(injected(version="1.10.0"), "chat-b-2", Workload("apps", "ReplicaSet", "chat-b"), JUNE),
        running(injected(version="1.10.0"), "chat-b-1", Workload("apps", "ReplicaSet", "chat-b"), MAY),
        running(injected(version="1.10.0", strategy="s3-mount"), "chat-b-3", None),
        running(injected(version="1.9.0"), "alone", None),
    )
    template = asking(model="my-model", version="1.10.0")
    found = rows(usage(Observed(pods, (template, old, new)), settings), {})
    assert [(row.version, row.workload, row.state, row.pods, row.since) for row in found] == [
        ("1.9.0", "alone", "running", ("alone",), MAY),
        ("1.9.0", "chat", "history", (), MAY),
        ("1.10.0", "chat", "running", ("chat-b-1", "chat-b-2"), MAY),
        ("1.10.0", "chat-b-3", "running", ("chat-b-3",), MAY),
    ]


def test_a_withdrawn_version_has_its_reason_in_each_of_its_rows(settings: Settings) -> None:
    withdrawn = {VersionKey("default", "my-model", "1.2.3"): "licence", VersionKey("staging", "m", "1.0.0"): "broken"}
    pods = (
        running(injected(), "a", None),
        running(injected(uri="s3://elsewhere/my-model-1.2.3"), "b", None),
        running(injected(uri="s3://staging/my-model-1.2.3"), "c", None),
        running(injected("m", "1.0.0", uri="s3://staging/m-1.0.0"), "d", None),
        running(injected("m", "1.0.0"), "e", None),
    )
    found = rows(usage(Observed(pods), settings), withdrawn)
    assert {row.workload: row.withdrawn for row in found} == {
        "a": "licence",
        "b": "licence",
        "c": None,
        "d": "broken",
        "e": None,
    }
