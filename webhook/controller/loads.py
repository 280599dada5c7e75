"""Which objects the published versions need in the cluster: the pure function `decide`.

A version gets its claim, and the claim its Job. When the Job has succeeded, which it does only after the marker is
written, the claim becomes ready, and only then do the other namespaces get theirs. A Job says what is in a volume only
if it was created for this very claim and for the digest that the claim names: the claim may be a new one of the same
name, and the version may have been published again. States are on the claims, in the label `state`:

| state | meaning |
| --- | --- |
| loading | a Job loads it |
| ready | pods can mount it |
| failed | its Job has failed; a new one follows when that is deleted, which Kubernetes does after a day |
| unpublished, withdrawn | the catalog has it no longer, or withdrew it: pods that run keep it, and no others get it |
| expired | nothing uses it, and it is about to be removed: see cleaning.py |
| outdated | the version was published again with other files, and the volume has the old ones |
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final

import msgspec

from webhook.controller.observed import Claim, Cluster, Job, Key, Observed
from webhook.controller.published import EXPIRED, Published, Version
from webhook.controller.push import push_job
from webhook.controller.steps import CLAIMS, JOBS, Create, Delete, Emit, Label, ObjectRef, Resource, Step
from webhook.errors import InvalidInput
from webhook.fields.globs import matches
from webhook.inventory.inventory import READY
from webhook.kubernetes.patch import JSON
from webhook.kubernetes.quantities import parse_quantity
from webhook.model.artifact import Artifact
from webhook.model.objects import claim_name, job_name
from webhook.model.source import Source
from webhook.settings import Load, Settings
from webhook.strategies import STRATEGIES
from webhook.strategies.strategy import ManifestRequest

LOADING, FAILED, OUTDATED, WAITING = "loading", "failed", "outdated", "waiting"
UNPUBLISHED, WITHDRAWN = "unpublished", "withdrawn"
DIGEST: Final = "digest"
"""The annotation with the sha256 of the manifest: on a claim, of what its volume has; on a Job, of what it loads."""
LOADS: Final = "loads"
"""The annotation of a claim with the digest that its Jobs load. It changes before another Job is created, so that a
step that was decided earlier, and would make the claim ready, conflicts."""
CLAIM_UID: Final = "claim-uid"
"""The annotation of a Job with the uid of the claim that it fills."""
URI: Final = "uri"
"""The annotation with the version's folder in S3, which all objects have that the controller created."""
_PROBLEM: Final = "problem"
"""The annotation with the reason of a state such as failed."""
_UNUSABLE: Final = (UNPUBLISHED, WITHDRAWN, OUTDATED)
"""The states of claims that were ready, and that pods may not mount now because of the catalog."""
_NONE: Final[Mapping[str, str]] = {}
_KINDS: Final = ("PersistentVolumeClaim", "PersistentVolume", "Job", "TridentVolumeReference")
"""What the controller creates. The platform creates other objects of the manifests, such as the StorageClass."""
_OF_KUBERNETES: Final = ("kube-system", "kube-public", "kube-node-lease")
_LONGEST: Final = 500
"""The maximum length of a problem."""
_UNKNOWN: Final = datetime.min.replace(tzinfo=UTC)
_WORST: Final = (FAILED, OUTDATED, WAITING, LOADING, READY)


class Want(msgspec.Struct, frozen=True):
    """A version that a load selects."""

    index: int
    """The place of the load in the settings."""
    load: Load
    version: Version

    @property
    def artifact(self) -> Artifact:
        """The version's artifact."""
        return self.version.artifact


class Capacity(msgspec.Struct, frozen=True):
    """The storage of a load, in bytes."""

    name: str
    """The load: its place in the settings, and its strategy."""
    requested: Decimal
    limit: Decimal | None


class Outcome(msgspec.Struct, frozen=True):
    """The steps, and figures."""

    steps: tuple[tuple[Step, ...], ...]
    """Groups that do not depend on each other. The steps of a group are taken one after the other."""
    states: Mapping[tuple[str, str], int]
    """The number of versions by strategy and state."""
    capacities: tuple[Capacity, ...]
    problems: tuple[str, ...]
    """What hinders loads, one sentence each."""


def decide(published: Published, cluster: Cluster, settings: Settings) -> Outcome:
    """The steps towards what the settings want. Raises ValueError if a load's versions are no valid reference."""
    wants = _wants(published, cluster, settings)
    steps, states, problems = list[tuple[Step, ...]](), Counter[tuple[str, str]](), list[str]()
    capacities, waiting = _capacities(wants, cluster, settings, problems)
    covered = set[Key]()
    for want in wants:
        version = _Version(want, cluster, settings, is_waiting=want in waiting)
        try:
            groups, state = version.steps()
            covered.update(version.covered)
        except InvalidInput as error:
            problems.append(f"{want.artifact.uri}: {error}")
            groups, state = [], WAITING
        states[want.load.strategy, state] += 1
        if version.problem:
            problems.append(f"{want.artifact.uri}: {version.problem}")
        steps.extend(tuple(group) for group in groups if group)
    for key, claim in cluster.claims.items():
        if key not in covered and (step := _not_wanted(claim, published, settings)):
            steps.append(step)
    return Outcome(tuple(steps), states, capacities, tuple(problems))


def _wants(published: Published, cluster: Cluster, settings: Settings) -> list[Want]:
    """What the loads select. The first load of a strategy that selects a version decides.

    Versions that may be removed are not loaded, and those that are about to be removed are left alone.
    """
    prefix = settings.annotation_prefix
    states: dict[str, set[str]] = {}
    for claim in cluster.claims.values():
        states.setdefault(claim.annotations.get(f"{prefix}/{URI}", ""), set()).add(
            claim.labels.get(f"{prefix}/state", "")
        )
    wants: dict[str, Want] = {}
    for index, load in enumerate(settings.loads):
        for version in published.selected(load):
            known = states.get(version.artifact.uri, set())
            if version.is_expired and (not known or EXPIRED in known):
                continue
            wants.setdefault(claim_name(load.strategy, version.artifact), Want(index, load, version))
    return list(wants.values())


def _capacities(
    wants: Sequence[Want], cluster: Cluster, settings: Settings, problems: list[str]
) -> tuple[tuple[Capacity, ...], set[Want]]:
    """The capacity of each load, and what does not fit yet. The newest versions come first."""
    homes = {key: want for want in wants for key in _homes(want, cluster, settings)}
    requested = _requested(homes, cluster, settings)
    missing = defaultdict[Want, Decimal](Decimal)
    for key, want in homes.items():
        if key not in cluster.claims:
            missing[want] += _needed(want, key[0], settings)
    capacities, waiting = [], set[Want]()
    for index, load in enumerate(settings.loads):
        if load.strategy != "shared-volume":
            continue
        total, limit = requested[index], parse_quantity(load.capacity) if load.capacity else None
        is_full = False
        for want in sorted((each for each in missing if each.index == index), key=_age, reverse=True):
            needed = missing[want]
            is_full = is_full or (limit is not None and needed <= limit < total + needed)
            if limit is None or (needed <= limit and not is_full):
                total += needed
                continue
            waiting.add(want)
            problems.append(
                f"{want.artifact.uri} waits: it needs {needed:.0f} bytes, and loads[{index}] has "
                f"{max(limit - total, Decimal(0)):.0f} of {limit:.0f} left"
            )
        capacities.append(Capacity(f"{index} {load.strategy}", total, limit))
    return tuple(capacities), waiting


def _age(want: Want) -> tuple[datetime, str]:
    return want.version.created_at or _UNKNOWN, want.artifact.uri


def _homes(want: Want, cluster: Cluster, settings: Settings) -> list[Key]:
    """The claims into which Jobs load a version."""
    if want.load.strategy != "shared-volume":
        return []
    name = claim_name(want.load.strategy, want.artifact)
    options = settings.of_strategies[want.load.strategy]
    if options.sharing == "trident":
        return [(options.namespace, name)]
    return [(namespace, name) for namespace in namespaces_of(want.load, cluster)]


def _requested(homes: Mapping[Key, Want], cluster: Cluster, settings: Settings) -> Mapping[int, Decimal]:
    """The storage that the claims of each load request, in bytes, also those of versions that it selected earlier."""
    requested = defaultdict[int, Decimal](Decimal)
    for key, claim in cluster.claims.items():
        formers = (index for index, load in enumerate(settings.loads) if _is_former(claim, load, settings))
        index = homes[key].index if key in homes else next(formers, None)
        if index is not None:
            requested[index] += parse_quantity(claim.requested)
    return requested


def _needed(want: Want, namespace: str, settings: Settings) -> Decimal:
    try:
        objects = _manifests(want.index, want.artifact, (namespace,), "load", settings)
    except InvalidInput:
        return Decimal(0)  # the version's own steps report it
    claims = (each for each in objects if each["kind"] == CLAIMS.kind)
    return sum((parse_quantity(each["spec"]["resources"]["requests"]["storage"]) for each in claims), Decimal(0))


def _is_former(claim: Claim, load: Load, settings: Settings) -> bool:
    """Whether a claim is of a version that a load selected earlier, and holds the loaded files."""
    prefix = settings.annotation_prefix
    is_consumer = "trident.netapp.io/shareFromPVC" in claim.annotations
    return (
        load.strategy == "shared-volume"
        and not is_consumer
        and claim.metadata.name.startswith(f"{load.strategy}-")
        and claim.annotations.get(f"{prefix}/{URI}", "").startswith(_root(settings.all_sources[load.source]))
        and matches(claim.labels.get(f"{prefix}/model", ""), load.models)
    )


def namespaces_of(load: Load, cluster: Cluster) -> tuple[str, ...]:
    """The namespaces whose pods get what a load selects, in order."""
    names = sorted(key[1] for key, namespace in cluster.namespaces.items() if not namespace.is_deleted)
    return tuple(
        name
        for name in names
        if name in load.namespaces or (name not in _OF_KUBERNETES and matches(name, load.namespaces))
    )


@lru_cache(maxsize=8192)
def _manifests(
    index: int, artifact: Artifact, namespaces: tuple[str, ...], stage: str, settings: Settings
) -> tuple[JSON, ...]:
    """The objects of a stage, with the controller's annotations. Raises InvalidInput."""
    load, prefix = settings.loads[index], settings.annotation_prefix
    strategy = STRATEGIES[load.strategy]
    assert strategy.manifests  # noqa: S101 - the settings allow only strategies that have some
    options = settings.of_strategies[strategy.name]
    if load.storage_class:
        options = options.model_copy(update={"storage_class": load.storage_class})
    request = ManifestRequest((artifact,), namespaces, stage, prefix, settings.fetch)
    return tuple(
        _annotated(each, artifact, prefix)
        for each in strategy.manifests(request, options).objects
        if each["kind"] in _KINDS
    )


def _annotated(manifest: JSON, artifact: Artifact, prefix: str) -> JSON:
    """An object with the annotations of its version. A claim that is loading has no digest yet."""
    metadata = manifest["metadata"]
    is_loading = metadata["labels"].get(f"{prefix}/state") == LOADING
    added = {f"{prefix}/{URI}": artifact.uri, f"{prefix}/{LOADS if is_loading else DIGEST}": artifact.digest or ""}
    labelled = {**manifest, "metadata": {**metadata, "labels": dict(metadata["labels"])}}
    return _with_annotations(labelled, added)


class _Version:
    """The steps for one version."""

    def __init__(self, want: Want, cluster: Cluster, settings: Settings, *, is_waiting: bool) -> None:
        """`is_waiting`: it has no room for further claims."""
        self._want, self._cluster, self._settings = want, cluster, settings
        self._artifact, self._prefix, self._is_waiting = want.artifact, settings.annotation_prefix, is_waiting
        self.problem = ""
        self.covered = set[Key]()
        """The claims that the steps are about, and those that need none."""

    def steps(self) -> tuple[list[list[Step]], str]:
        """Groups of steps, and the state. Raises InvalidInput."""
        if self._want.load.strategy == "oci-image":
            steps, state = self._push()
            return [steps], state
        namespaces = namespaces_of(self._want.load, self._cluster)
        if not STRATEGIES[self._want.load.strategy].stages:
            return self._share(namespaces), READY
        groups = list[list[Step]]()
        states: dict[Key, str] = {}
        loaded = list[str]()
        for namespace in namespaces:
            claim, job = self._objects((namespace,), "load")
            home = _key(claim)  # with Trident, it is the same for all namespaces
            if home not in states:
                taken, states[home] = self._load(claim, job)
                groups.append(taken)
            if states[home] == READY:
                loaded.append(namespace)
        if loaded:
            groups += self._share(tuple(loaded))
        return groups, min(states.values(), key=_WORST.index, default=READY)

    def _objects(self, namespaces: tuple[str, ...], stage: str) -> tuple[JSON, ...]:
        return _manifests(self._want.index, self._artifact, namespaces, stage, self._settings)

    def _load(self, claim: JSON, job: JSON) -> tuple[list[Step], str]:
        """The steps for a claim and its Job, and the state of the claim."""
        key = _key(claim)
        self.covered.add(key)
        known = self._cluster.claims.get(key)
        if known is None:
            return ([], WAITING) if self._is_waiting else ([Create(claim)], LOADING)
        if known.is_deleted:
            return [], LOADING
        content = self._annotation(known, DIGEST)
        if content and content != self._artifact.digest:
            return self._relabel(known, OUTDATED, _OUTDATED), OUTDATED
        if content or known.labels.get(f"{self._prefix}/state") == READY:  # or somebody has applied the manifests
            return [], READY
        return self._fill(known, job)

    def _fill(self, claim: Claim, job: JSON) -> tuple[list[Step], str]:
        """The steps for a claim that has no files yet, and its state."""
        loads = {f"{self._prefix}/{LOADS}": self._artifact.digest or ""}
        if not loads.items() <= claim.annotations.items():
            return [_label(claim, LOADING, "", self._prefix, loads)], LOADING
        running = self._cluster.jobs.get(_key(job))
        if running is None:
            added = {f"{self._prefix}/{CLAIM_UID}": claim.metadata.uid}
            # The label changes nothing. It conflicts if the claim has changed, such as to ready.
            fence = _label(claim, LOADING, "", self._prefix, loads)
            return [fence, Create(_with_annotations(job, added))], LOADING
        if running.is_deleted:
            return [], LOADING
        if stale := self._staleness(running, claim):
            return [Delete(ref_of(JOBS, running), stale)], LOADING
        return self._loaded_by(running, claim)

    def _staleness(self, running: Job, claim: Claim) -> str:
        """Why a Job says nothing about what a claim is to have. Empty if it does, or if a person has created it."""
        if self._annotation(running, DIGEST) not in (self._artifact.digest, None):
            return "the version was published again with other files"
        if self._annotation(running, CLAIM_UID) not in (claim.metadata.uid, None):
            return "it has filled an earlier claim of the same name"
        return ""

    def _loaded_by(self, running: Job, claim: Claim) -> tuple[list[Step], str]:
        """The steps for a claim, and its state, by how far its Job is."""
        if running.failure:
            self.problem = running.failure
            return self._relabel(claim, FAILED, running.failure), FAILED
        if running.is_complete:
            if self._annotation(running, DIGEST) and self._annotation(running, CLAIM_UID):
                return [], READY
            self.problem = (
                f"the Job {running.metadata.namespace}/{running.metadata.name} does not say what it has loaded into "
                "which claim; delete it, or set the label state of its claim to ready"
            )
        return self._relabel(claim, LOADING), LOADING

    def _share(self, namespaces: tuple[str, ...]) -> list[list[Step]]:
        """The objects by which pods mount what is loaded, in a group for each namespace.

        Other namespaces follow when the claims that were loaded are ready, and shared with them.
        """
        homes = frozenset(self.covered)
        first, others = list[list[Step]](), defaultdict[str, list[Step]](list)
        for each in self._objects(namespaces, self._stage):
            steps = self._exists(each)
            if _key(each) in homes:
                first.append(list(steps))
            else:
                others[_namespace(each)] += steps
        return first if any(first) else list(others.values())

    @property
    def _stage(self) -> str:
        stages = STRATEGIES[self._want.load.strategy].stages
        return stages[-1] if stages else ""

    def _exists(self, manifest: JSON) -> Iterator[Step]:
        key, kind = _key(manifest), manifest["kind"]
        if kind != CLAIMS.kind:
            known = self._cluster.volumes if kind == "PersistentVolume" else self._cluster.references
            if key not in known:
                yield Create(manifest)
            return
        self.covered.add(key)
        claim = self._cluster.claims.get(key)
        if claim is None:
            yield Create(manifest)
        elif claim.is_deleted:
            return
        elif self._annotation(claim, DIGEST) not in (None, self._artifact.digest):
            yield from self._relabel(claim, OUTDATED, _OUTDATED)
        else:
            metadata = manifest["metadata"]
            yield from _labelled(claim, metadata["labels"], metadata["annotations"], self._prefix, self._artifact)

    def _relabel(self, claim: Claim, state: str, problem: str = "") -> list[Step]:
        return with_state(claim, state, problem, self._prefix)

    def _annotation(self, known: Observed, name: str) -> str | None:
        return known.annotations.get(f"{self._prefix}/{name}")

    def _push(self) -> tuple[list[Step], str]:
        repository = self._want.load.image.format(model=self._artifact.model.lower())
        if self._artifact.image and self._artifact.image.startswith(f"{repository}@"):
            return [], READY
        name = job_name(self._want.load.strategy, self._artifact)
        job = self._cluster.jobs.get((self._settings.controller.namespace, name))
        if job is None:
            return [Create(push_job(name, self._artifact, self._want.load.source, repository, self._settings))], LOADING
        if job.is_deleted:
            return [], LOADING
        if self._annotation(job, DIGEST) != self._artifact.digest:
            return [Delete(ref_of(JOBS, job), "the version was published again with other files")], LOADING
        if job.failure:
            self.problem = job.failure
            return [], FAILED
        return [], LOADING


_OUTDATED: Final = (
    "the version was published again with other files; publish new versions, or delete this claim to load it again"
)


def _labelled(
    claim: Claim, labels: Mapping[str, str], annotations: Mapping[str, str], prefix: str, artifact: Artifact
) -> Iterator[Step]:
    """Set the labels and annotations of a claim that is ready, if it lacks some."""
    former = (f"{prefix}/{_PROBLEM}", "trident.netapp.io/shareToNamespace")
    is_stale = any(name in claim.annotations and name not in annotations for name in former)
    if labels.items() <= claim.labels.items() and annotations.items() <= claim.annotations.items() and not is_stale:
        return
    ref = ref_of(CLAIMS, claim)
    yield Label(ref, labels, annotations)
    if claim.labels.get(f"{prefix}/state") != READY:
        yield Emit(ref, "Normal", "Ready", f"{artifact.model} {artifact.version} is ready: {artifact.digest}")


def with_state(claim: Claim, state: str, problem: str, prefix: str) -> list[Step]:
    """Set the state of a claim, and the reason; nothing if it has both."""
    reason = problem[:_LONGEST]
    if claim.labels.get(f"{prefix}/state") == state and claim.annotations.get(f"{prefix}/{_PROBLEM}", "") == reason:
        return []
    label = _label(claim, state, reason, prefix)
    if state == READY:
        return [label, Emit(label.of, "Normal", "Ready", "the version is published again")]
    if state == LOADING:
        return [label]
    return [label, Emit(label.of, "Normal" if state == EXPIRED else "Warning", state.capitalize(), reason)]


def _label(claim: Claim, state: str, reason: str, prefix: str, annotations: Mapping[str, str] = _NONE) -> Label:
    """Set the state of a claim. What the controller has set before stays."""
    ours = ("app.kubernetes.io/managed-by", f"{prefix}/model", f"{prefix}/version")
    labels = {label: claim.labels[label] for label in ours if label in claim.labels}
    stay = tuple(f"{prefix}/{each}" for each in (URI, DIGEST, LOADS))
    kept = {
        key: value
        for key, value in claim.annotations.items()
        if key in stay or key.startswith("trident.netapp.io/share")
    }
    problem = {f"{prefix}/{_PROBLEM}": reason} if reason else {}
    return Label(ref_of(CLAIMS, claim), {**labels, f"{prefix}/state": state}, {**kept, **annotations, **problem})


def _not_wanted(claim: Claim, published: Published, settings: Settings) -> tuple[Step, ...]:
    """The steps for a claim of a version that no load selects: whether pods may mount it, depends on the catalog."""
    prefix = settings.annotation_prefix
    uri, state = claim.annotations.get(f"{prefix}/{URI}"), claim.labels.get(f"{prefix}/state")
    if uri is None or state == EXPIRED or claim.is_deleted or not is_listed(uri, published, settings):
        return ()
    found = by_catalog(claim, published, prefix)
    if found and (found[0] in _UNUSABLE or state in _UNUSABLE):
        return tuple(with_state(claim, *found, prefix))
    return ()


def by_catalog(claim: Claim, published: Published, prefix: str) -> tuple[str, str] | None:
    """The state of a claim that follows from the catalog, and its reason. None if nothing is known of the version."""
    uri = claim.annotations.get(f"{prefix}/{URI}", "")
    if uri not in published.uris:
        return UNPUBLISHED, "the catalog has the version no longer"
    version = published.by_uri.get(uri)
    if version is None or not version.is_checked:
        return None
    if version.problem:
        return (WITHDRAWN if version.is_withdrawn else UNPUBLISHED), version.problem
    states = {None: LOADING, version.artifact.digest: READY}
    state = states.get(claim.annotations.get(f"{prefix}/{DIGEST}"), OUTDATED)
    return state, _OUTDATED if state == OUTDATED else ""


def is_listed(uri: str, published: Published, settings: Settings) -> bool:
    """Whether the source of a version was listed, so that a version that is missing there does not exist.

    Sources may be in one another: then all of those were listed that may have the version.
    """
    names = [name for name, source in settings.all_sources.items() if uri.startswith(_root(source))]
    return bool(names) and published.sources.keys() >= set(names)


def _root(source: Source) -> str:
    return "/".join(filter(None, (f"s3://{source.bucket}", source.prefix, "")))


def _with_annotations(manifest: JSON, added: Mapping[str, str]) -> JSON:
    metadata = manifest["metadata"]
    return {**manifest, "metadata": {**metadata, "annotations": {**metadata.get("annotations", {}), **added}}}


def _namespace(manifest: JSON) -> str:
    """The namespace of the pods that an object is for."""
    volume = manifest["spec"].get("claimRef", {})
    return str(manifest["metadata"].get("namespace") or volume.get("namespace", ""))


def _key(manifest: JSON) -> Key:
    metadata = manifest["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def ref_of(resource: Resource, known: Observed) -> ObjectRef:
    """A reference to an object as it was observed."""
    metadata = known.metadata
    return ObjectRef(resource, metadata.namespace, metadata.name, metadata.uid, metadata.resource_version)
