"""The tag that a lifecycle rule deletes objects in S3 by: which versions are to get it, and which are to lose it."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from typing import Final, NamedTuple, TypeVar

import msgspec

from webhook.catalog.bucket.errors import CatalogError, NotFound
from webhook.catalog.bucket.store import Store
from webhook.catalog.publishing.tagging import has_tag, is_completely_tagged, tag_version, untag_version
from webhook.controller.cleaning import Review
from webhook.controller.published import Published
from webhook.model.artifact import Artifact
from webhook.model.source import Source
from webhook.settings import Settings
from webhook.usage.uses import Usage

_THREADS: Final = 8
T = TypeVar("T")


class Change(msgspec.Struct, frozen=True):
    """A version whose objects get the tag, or lose it."""

    artifact: Artifact
    is_tagged: bool


class Changes(NamedTuple):
    """Changes, and what could not be read or written, one sentence for each version."""

    changes: list[Change]
    problems: list[str]


def removable(reviews: Iterable[Review], usage: Usage) -> frozenset[str]:
    """The versions, by their URIs, that may get the tag. None while uses may be missing: pods that download a version
    have nothing else in the cluster."""
    return frozenset() if usage.problems else frozenset(each.uri for each in reviews if _is_gone(each))


def kept(reviews: Iterable[Review]) -> frozenset[str]:
    """The versions, by their URIs, that must not have the tag."""
    return frozenset(each.uri for each in reviews if not _is_gone(each))


def _is_gone(review: Review) -> bool:
    return review.is_removed and not review.is_in_cluster


def changes(tagged: Collection[str], untagged: Collection[str], published: Published, settings: Settings) -> Changes:
    """What is to change so that these versions have the tag, and those do not. Reads only, of each version."""
    tag = settings.controller.cleaning.s3_tag

    def change(artifact: Artifact, store: Store) -> Change | None:
        is_tagged = artifact.uri in tagged
        try:
            has = has_tag(store, artifact.folder, tag)
        except NotFound:  # the lifecycle rule has begun to delete it, or it was never complete
            return None
        is_done = (has and is_completely_tagged(store, artifact.folder, tag)) if is_tagged else not has
        return None if is_done else Change(artifact, is_tagged)

    wanted = {*tagged, *untagged} if tag else ()
    found, problems = _each(
        change, [version.artifact for uri, version in sorted(published.by_uri.items()) if uri in wanted]
    )
    return Changes([each for each in found if each], problems)


def make(wanted: Iterable[Change], settings: Settings) -> Changes:
    """Make changes. Returns those that were made completely. What failed can be repeated."""
    tag, by_artifact = settings.controller.cleaning.s3_tag, {each.artifact: each for each in wanted}

    def change(artifact: Artifact, store: Store) -> Change:
        (tag_version if by_artifact[artifact].is_tagged else untag_version)(store, artifact.folder, tag)
        return by_artifact[artifact]

    return Changes(*_each(change, list(by_artifact)))


def _each(call: Callable[[Artifact, Store], T], artifacts: Collection[Artifact]) -> tuple[list[T], list[str]]:
    """Call a function for each version, several at a time. A failure does not stop the others."""
    with _stores({artifact.source for artifact in artifacts}) as stores:

        def tried(artifact: Artifact) -> tuple[list[T], list[str]]:
            try:
                return [call(artifact, stores[artifact.source])], []
            except CatalogError as error:
                return [], [f"the tags of {artifact.uri}: {error}"]

        with ThreadPoolExecutor(_THREADS, "tags") as threads:
            results = list(threads.map(tried, artifacts))
    return [each for found, _ in results for each in found], [each for _, problems in results for each in problems]


@contextmanager
def _stores(sources: Iterable[Source]) -> Iterator[Mapping[Source, Store]]:
    with ExitStack() as stack:
        yield {source: stack.enter_context(closing(Store(source))) for source in sources}
