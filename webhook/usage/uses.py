"""Uses of versions: the pure function from what was read in the cluster to who uses which version.

A version is identified by its folder in S3. A use whose folder belongs to no configured source, because settings have
changed since, counts for the version of this name in each source.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Final, Literal, TypeAlias

import msgspec

from webhook.annotations import injected, pinned
from webhook.annotations.injected import InjectedModel
from webhook.annotations.model_name import model_name
from webhook.annotations.parsing import parse
from webhook.annotations.pinned import PINNED
from webhook.catalog.resolution import VersionKey
from webhook.fields.parsers import EXACT_VERSION, label
from webhook.model.artifact import Artifact
from webhook.model.refusals import Refusal
from webhook.model.request import ModelRequest
from webhook.settings import Settings
from webhook.usage.observed import Claim, Observed, ObservedTemplate, Problem, Workload

State: TypeAlias = Literal["running", "pinned", "history"]
_MOST_OWNERS: Final = 8


class UsedVersion(msgspec.Struct, frozen=True, cache_hash=True):
    """An exact version that is used, and how."""

    model: str
    version: str
    uri: str
    """The folder in S3. Empty if the source that a template names is not configured."""
    sources: tuple[str, ...]
    """The configured sources that have this folder: several if buckets of different stores have the same name."""
    asked: str
    """The version as it was asked for. Empty for the default."""
    strategy: str
    """Empty if it is chosen when a pod is created."""


class Use(msgspec.Struct, frozen=True):
    """One use of a version: by a pod that has not finished, or by a template."""

    used: UsedVersion
    workload: Workload
    """The outermost controller that is known, such as the Deployment of a pod's ReplicaSet."""
    state: State
    """running: by a pod. pinned: by a workload's template. history: by a template that a rollback would restore."""
    pod: str = ""
    """The pod's name, if it is running."""
    since: datetime | None = None
    """When the pod was started, or the template written. None for a template that can have changed."""
    uid: str = ""
    """The pod's UID, if it is running."""


class FloatingUse(msgspec.Struct, frozen=True):
    """A template that asks for an alias, a range or `latest`, and is not pinned: each new pod resolves it."""

    source: str
    model: str
    asked: str
    workload: Workload


@dataclass(frozen=True)
class Usage:
    """All uses in the cluster, or in one namespace."""

    uses: tuple[Use, ...] = ()
    mounted: frozenset[Claim] = frozenset()
    """The claims of all pods that have not finished, with a model or without."""
    floating: tuple[FloatingUse, ...] = ()
    problems: tuple[Problem, ...] = ()
    """What could not be read. `uses` may lack some of these namespaces: do not delete what seems unused there."""

    def of(self, artifact: Artifact) -> tuple[Use, ...]:
        """The uses of a version of a configured source."""
        unknown = self._of_unknown_sources.get((artifact.model, artifact.version), ())
        return (*self._by_uri.get(artifact.uri, ()), *unknown)

    @cached_property
    def _by_uri(self) -> Mapping[str, Collection[Use]]:
        found = defaultdict[str, list[Use]](list)
        for use in self.uses:
            found[use.used.uri].append(use)
        return found

    @cached_property
    def _of_unknown_sources(self) -> Mapping[tuple[str, str], Collection[Use]]:
        found = defaultdict[tuple[str, str], list[Use]](list)
        for use in self.uses:
            if not use.used.sources:
                found[use.used.model, use.used.version].append(use)
        return found


def withdrawn_reason(used: UsedVersion, withdrawn: Mapping[VersionKey, str]) -> str | None:
    """Why a version was withdrawn. None if it was not. `withdrawn`: the reasons by source, model and version."""
    if used.sources:
        keys = (VersionKey(source, used.model, used.version) for source in used.sources)
        return next((withdrawn[key] for key in keys if key in withdrawn), None)
    same = (key for key in withdrawn if (key.model, key.version) == (used.model, used.version))
    return next((withdrawn[key] for key in same), None)


def usage(observed: Observed, settings: Settings) -> Usage:
    """The uses in what was read. Invalid templates use nothing but what they are pinned to."""
    owners = {template.identity: template.owner for template in observed.templates if template.owner}
    owners |= {pod.identity: pod.owner for pod in observed.pods if pod.owner}
    uses, floating, problems = list[Use](), list[FloatingUse](), list(observed.problems)
    for template in observed.templates:
        workload = _outermost(template.identity, owners)
        state: State = "history" if template.is_history else "pinned"
        versions, references, problem = _of_template(template, settings)
        uses += (Use(used, workload, state, since=template.since) for used in versions)
        floating += (FloatingUse(each.source, each.model, each.version, workload) for each in references)
        problems += [problem] if problem else []
    for pod in observed.pods:
        running = _injected(pod.injected, settings)
        if not running:
            problems.append(_problem(pod.identity, settings, "injected"))
        workload = _outermost(pod.identity, owners)
        uses += (Use(used, workload, "running", pod.identity.name, pod.since, pod.uid) for used in running)
    return Usage(tuple(uses), observed.mounted, tuple(floating), tuple(problems))


def _outermost(identity: Workload, owners: Mapping[Workload, Workload]) -> Workload:
    for _ in range(_MOST_OWNERS):  # ownerReferences are not checked: they may form a circle
        if identity not in owners:
            break
        identity = owners[identity]
    return identity


def _problem(identity: Workload, settings: Settings, name: str) -> Problem:
    namespace, kind, own = identity
    text = f"{kind} {namespace}/{own}: the annotation {settings.annotation_prefix}/{name} cannot be read"
    return Problem(namespace, text)


@lru_cache(maxsize=1024)
def _injected(text: str, settings: Settings) -> tuple[UsedVersion, ...]:
    """The versions in an annotation `injected`. Empty if it is invalid. Cached: a workload's pods have the same one."""
    models = injected.decode(text)
    if not all(map(_is_valid, models)):
        return ()
    return tuple(
        UsedVersion(
            each.model,
            each.version,
            each.uri,
            tuple(
                name
                for name, source in settings.all_sources.items()
                if Artifact(each.model, each.version, source).uri == each.uri
            ),
            each.asked,
            each.strategy,
        )
        for each in models
    )


def _is_valid(entry: InjectedModel) -> bool:
    """Whether an entry has values that the webhook writes. Whoever may change a pod can write others."""
    try:
        model_name(entry.model)
        label(entry.strategy)
    except ValueError:
        return False
    return bool(EXACT_VERSION.fullmatch(entry.version)) and entry.asked.isprintable() and entry.uri.isprintable()


def _of_template(
    template: ObservedTemplate, settings: Settings
) -> tuple[tuple[UsedVersion, ...], list[ModelRequest], Problem | None]:
    """The versions that a template is pinned to or asks for exactly, its other references, and what is wrong with it.

    Pins of references that the template no longer has count too.
    """
    text = template.annotations.get(f"{settings.annotation_prefix}/{PINNED}")
    pins = pinned.decode(text).models
    problem = _problem(template.identity, settings, PINNED) if text and not pins else None
    try:
        requests = parse(template.annotations, settings, template.identity.namespace).models
    except Refusal:
        requests = ()
    found = dict[tuple[str, str, str], UsedVersion]()
    for each in requests:
        if version := each.pinned_version or (None if pinned.is_floating(each) else each.version):
            strategy = each.strategies[0] if len(each.strategies) == 1 else each.pinned_strategy or ""
            used = _used(each.source, each.model, version, each.version, strategy, settings)
            found.setdefault((each.source, each.model, version), used)
    for pin in pins:
        used = _used(pin.source, pin.model, pin.version, pin.asked, pin.strategy, settings)
        found.setdefault((pin.source, pin.model, pin.version), used)
    floating = [each for each in requests if pinned.is_floating(each) and each.pinned_version is None]
    return tuple(found.values()), floating, problem


def _used(  # noqa: PLR0913, PLR0917 - the fields
    source: str, model: str, version: str, asked: str, strategy: str, settings: Settings
) -> UsedVersion:
    configured = settings.all_sources.get(source)
    uri = Artifact(model, version, configured).uri if configured else ""
    return UsedVersion(model, version, uri, (source,) if configured else (), asked, strategy)
