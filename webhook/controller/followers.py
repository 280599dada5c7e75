"""Workloads that follow a version: what their references are pinned to, and what they mean now."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property

from msgspec.structs import replace

from webhook.admission.pinning import pins_of
from webhook.annotations.parsing import is_following, parse
from webhook.annotations.pinned import PINNED, Pin, Pins, Reference, is_floating, reference_of, restarted_at
from webhook.catalog.resolution import Catalog, LookupRequired, VersionKey
from webhook.controller.records import ROLLOUT, TRIED, Change, Record, decode, encode_tried, tried
from webhook.controller.workloads import Workload
from webhook.kubernetes.pod import Pod
from webhook.model.artifact import Artifact
from webhook.model.refusals import Refusal
from webhook.model.request import ModelRequest, PodRequest
from webhook.settings import Settings


class Follower:
    """A workload that follows, and what its references are pinned to and mean."""

    def __init__(self, workload: Workload, request: PodRequest, record: Record | None, settings: Settings) -> None:
        self.workload, self.request, self.record = workload, request, record
        self.pins = pins_of(workload.template, settings)
        floating = {reference_of(model): model for model in request.models if is_floating(model)}
        self.floating: Mapping[Reference, ModelRequest] = dict(sorted(floating.items()))
        """The models whose reference can change its meaning."""
        self.meanings: dict[Reference, Artifact | None] = {}
        """What these mean. None if that is not known for certain."""
        self.pinned_name = f"{settings.annotation_prefix}/{PINNED}"
        self.label = workload.labels.get(f"{settings.annotation_prefix}/{TRIED}", "")

    def pinned(self, reference: Reference) -> str:
        """The version that a reference is pinned to; empty if it is not pinned."""
        return next((pin.version for pin in self.pins.models if pin.reference == reference), "")

    @cached_property
    def is_known(self) -> bool:
        """Whether it is known what all references mean."""
        return None not in self.meanings.values()

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """The references that mean another version than they are pinned to."""
        return tuple(
            Change(*reference, self.pinned(reference), artifact.version)
            for reference, artifact in self.meanings.items()
            if artifact and artifact.version != self.pinned(reference)
        )

    @cached_property
    def versions(self) -> list[tuple[Reference, str]]:
        """What each reference means; an empty version if that is not known."""
        return [(reference, artifact.version if artifact else "") for reference, artifact in self.meanings.items()]

    @cached_property
    def tried(self) -> frozenset[Reference]:
        """The references whose meaning was tried."""
        marks = zip(self.versions, tried(self.label, self.versions), strict=True)
        return frozenset(reference for (reference, _), is_tried in marks if is_tried)

    @cached_property
    def new(self) -> tuple[Change, ...]:
        """The changes that were not tried."""
        return tuple(change for change in self.changes if change.reference not in self.tried)

    def waiting_since(self, now: datetime) -> datetime:
        """Since when it waits."""
        is_waiting = self.record and self.record.state in ("waiting", "blocked")
        return self.record.at if self.record and is_waiting else now

    @property
    def ended_at(self) -> datetime | None:
        """When its last rollout ended."""
        return self.record.ended_at if self.record else None

    def label_after(self, versions: Mapping[Reference, str]) -> str:
        """The label `tried` once the template is pinned to these versions: what references mean, if the template has
        or had that."""
        are_tried = list[bool | None]()
        for reference, meaning in self.versions:
            has_it = meaning in (self.pinned(reference), versions.get(reference))
            are_tried.append(None if not meaning else has_it or reference in self.tried)
        return encode_tried(self.label, self.versions, are_tried)

    def pins_after(self, versions: Mapping[Reference, str]) -> str:
        """The annotation `pinned` with these versions.

        Everything else in it stays, so that a rollback to these versions has the template of then. It holds for the
        template, so that the webhook does not choose again.
        """
        annotations = self.workload.template_annotations

        def changed(pin: Pin) -> Pin:
            return replace(pin, version=versions.get(pin.reference, pin.version))

        restarted = self.pins.restarted_at if self.pins.holds_for(annotations) else restarted_at(annotations)
        return Pins(tuple(map(changed, self.pins.models)), restarted).encode()

    def template_after(self, versions: Mapping[Reference, str]) -> Pod:
        """The pod template with these versions."""
        template = self.workload.template
        annotations = {**self.workload.template_annotations, self.pinned_name: self.pins_after(versions)}
        return replace(template, metadata=replace(template.metadata, annotations=annotations))


def follower_of(workload: Workload, settings: Settings, now: datetime) -> Follower | None:
    """The workload, if its template follows. Raises Refusal and InvalidObject."""
    if workload.is_deleted or not is_following(workload.template_annotations, settings):
        return None
    request = parse(workload.template_annotations, settings, workload.metadata.namespace)
    name = f"{settings.annotation_prefix}/{ROLLOUT}"
    record = decode(workload.annotations.get(name), workload.labels.get(name, ""), now)
    return Follower(workload, request, record, settings)


def resolve(followers: Sequence[Follower], catalog: Catalog) -> None:
    """Find out what the references mean. Raises LookupRequired with the keys of all.

    A meaning is certain only without warnings: if S3 does not answer, a range may mean an older version than before.
    """
    keys = list[VersionKey]()
    for follower in followers:
        for reference, model in follower.floating.items():
            follower.meanings[reference] = None
            try:
                resolved = catalog.resolve(replace(model, pinned_version=None))
            except LookupRequired as required:
                keys += required.keys
            except Refusal:
                continue  # it means nothing; what is pinned stays
            else:
                if resolved.is_checked and not resolved.warnings:
                    follower.meanings[reference] = resolved.artifact
    if keys:
        raise LookupRequired(list(dict.fromkeys(keys)))
