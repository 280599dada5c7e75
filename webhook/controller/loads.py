"""Which objects the published versions need in the cluster: the pure function `decide`.

A version gets its claim, and the claim its Job. When the Job has succeeded, which it does only after the marker is
written, the claim becomes ready, and only then do the other namespaces get theirs. A Job says what is in a volume only
if it was created for this very claim and for the digest that the claim names: the claim may be a new one of the same
name, and the version may have been published again.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from webhook.controller.capacity import Capacity, capacities
from webhook.controller.observed import Claim, Cluster, Job, Key, Observed
from webhook.controller.published import Published
from webhook.controller.push import push_job
from webhook.controller.states import (
    CLAIM_UID,
    DIGEST,
    EXPIRED,
    FAILED,
    LOADING,
    LOADS,
    OUTDATED,
    OUTDATED_REASON,
    PROBLEM,
    UNPUBLISHED,
    URI,
    WITHDRAWN,
    by_catalog,
    is_listed,
    labelled,
    with_state,
)
from webhook.controller.steps import CLAIMS, JOBS, VOLUMES, Create, Delete, Emit, Label, Step, ref_of
from webhook.controller.wants import Want, manifests, namespaces_of, newness, wants, with_annotations
from webhook.errors import InvalidInput
from webhook.inventory.inventory import READY
from webhook.kubernetes.patch import JSON
from webhook.model.artifact import Artifact
from webhook.model.objects import job_name
from webhook.settings import Settings
from webhook.strategies import STRATEGIES

WAITING: Final = "waiting"
"""The state of a version that has no room for a claim, or whose Job is to follow others."""
_UNUSABLE: Final = (UNPUBLISHED, WITHDRAWN, OUTDATED)
"""The states of claims that were ready, and that pods may not mount now because of the catalog."""
_WORST: Final = (FAILED, OUTDATED, WAITING, LOADING, READY)


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
    wanted = wants(published, cluster, settings)
    steps, states, problems = list[tuple[Step, ...]](), Counter[tuple[str, str]](), list[str]()
    found, waiting = capacities(wanted, cluster, settings, problems)
    unchecked = {version.artifact.uri: version for load in settings.loads for version in published.unchecked(load)}
    problems += (f"{uri}: {version.problem}" for uri, version in unchecked.items())
    covered, jobs = set[Key](), _Jobs(cluster, settings)
    for want in sorted(wanted, key=newness, reverse=True):
        version = _Version(want, cluster, settings, jobs, is_waiting=want in waiting)
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
    return Outcome(tuple(steps), states, found, tuple(problems))


class _Jobs:
    """How many further Jobs may be created."""

    def __init__(self, cluster: Cluster, settings: Settings) -> None:
        running = sum(not job.is_finished for job in cluster.jobs.values())
        self._left = settings.controller.max_concurrent_jobs - running

    def take(self) -> bool:
        """Count one more. False if there are as many as allowed."""
        self._left -= 1
        return self._left >= 0


class _Version:
    """The steps for one version."""

    def __init__(self, want: Want, cluster: Cluster, settings: Settings, jobs: _Jobs, *, is_waiting: bool) -> None:
        """`is_waiting`: it has no room for further claims."""
        self._jobs = jobs
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
        return manifests(self._want.index, self._artifact, namespaces, stage, self._settings)

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
            return self._relabel(known, OUTDATED, OUTDATED_REASON), OUTDATED
        if content or known.labels.get(f"{self._prefix}/state") == READY:  # or somebody has applied the manifests
            return [], READY
        return self._fill(known, job)

    def _fill(self, claim: Claim, job: JSON) -> tuple[list[Step], str]:
        """The steps for a claim that has no files yet, and its state."""
        loads = {f"{self._prefix}/{LOADS}": self._artifact.digest or ""}
        if not loads.items() <= claim.annotations.items():
            return [labelled(claim, LOADING, "", self._prefix, loads)], LOADING
        running = self._cluster.jobs.get(_key(job))
        if running is None:
            if not self._jobs.take():
                return [], WAITING
            added = {f"{self._prefix}/{CLAIM_UID}": claim.metadata.uid}
            # The label changes nothing. It conflicts if the claim has changed, such as to ready.
            fence = labelled(claim, LOADING, "", self._prefix, loads)
            return [fence, Create(with_annotations(job, added))], LOADING
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
            volume = self._cluster.volumes.get(key)
            if volume and volume.is_released and not volume.is_deleted:
                yield Delete(ref_of(VOLUMES, volume), "its claim is gone, and no other claim can be bound to it")
            elif volume is None and key not in self._cluster.references:
                yield Create(manifest)
            return
        self.covered.add(key)
        claim = self._cluster.claims.get(key)
        if claim is None:
            yield Create(manifest)
        elif claim.is_deleted:
            return
        elif self._annotation(claim, DIGEST) not in (None, self._artifact.digest):
            yield from self._relabel(claim, OUTDATED, OUTDATED_REASON)
        else:
            metadata = manifest["metadata"]
            yield from _as_loaded(claim, metadata["labels"], metadata["annotations"], self._prefix, self._artifact)

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
            push = push_job(name, self._artifact, self._want.load.source, repository, self._settings)
            return ([Create(push)], LOADING) if self._jobs.take() else ([], WAITING)
        if job.is_deleted:
            return [], LOADING
        if self._annotation(job, DIGEST) != self._artifact.digest:
            return [Delete(ref_of(JOBS, job), "the version was published again with other files")], LOADING
        self.problem = job.failure or ""
        return [], FAILED if job.failure else LOADING


def _as_loaded(
    claim: Claim, labels: Mapping[str, str], annotations: Mapping[str, str], prefix: str, artifact: Artifact
) -> Iterator[Step]:
    """Set the labels and annotations of a claim that is ready, if it lacks some."""
    former = (f"{prefix}/{PROBLEM}", "trident.netapp.io/shareToNamespace")
    is_stale = any(name in claim.annotations and name not in annotations for name in former)
    if labels.items() <= claim.labels.items() and annotations.items() <= claim.annotations.items() and not is_stale:
        return
    ref = ref_of(CLAIMS, claim)
    yield Label(ref, labels, annotations)
    if claim.labels.get(f"{prefix}/state") != READY:
        yield Emit(ref, "Normal", "Ready", f"{artifact.model} {artifact.version} is ready: {artifact.digest}")


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


def _namespace(manifest: JSON) -> str:
    """The namespace of the pods that an object is for."""
    volume = manifest["spec"].get("claimRef", {})
    return str(manifest["metadata"].get("namespace") or volume.get("namespace", ""))


def _key(manifest: JSON) -> Key:
    metadata = manifest["metadata"]
    return metadata.get("namespace", ""), metadata["name"]
