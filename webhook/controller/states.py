"""The states of claims, in their label `state`, and what the controller keeps in annotations of objects.

| state | meaning |
| --- | --- |
| loading | a Job loads it |
| ready | pods can mount it |
| failed | its Job has failed; a new one follows when that is deleted, which Kubernetes does after a day |
| unpublished, withdrawn | the catalog has it no longer, or withdrew it: pods that run keep it, and no others get it |
| expired | nothing uses it, and it is about to be removed: see cleaning.py |
| outdated | the version was published again with other files, and the volume has the old ones |
"""

from collections.abc import Mapping
from typing import Final

from webhook.controller.events import EventReason
from webhook.controller.observed import Claim
from webhook.controller.published import Published
from webhook.controller.steps import CLAIMS, Emit, Label, Step, ref_of
from webhook.inventory.inventory import READY
from webhook.model.source import Source
from webhook.settings import Settings

LOADING, FAILED, OUTDATED = "loading", "failed", "outdated"
UNPUBLISHED, WITHDRAWN, EXPIRED = "unpublished", "withdrawn", "expired"
_EVENTS: Final[Mapping[str, EventReason]] = {
    FAILED: "Failed",
    OUTDATED: "Outdated",
    UNPUBLISHED: "Unpublished",
    WITHDRAWN: "Withdrawn",
    EXPIRED: "Expired",
}
"""The event of a claim that gets a state."""
DIGEST: Final = "digest"
"""The annotation with the sha256 of the manifest: on a claim, of what its volume has; on a Job, of what it loads."""
LOADS: Final = "loads"
"""The annotation of a claim with the digest that its Jobs load. It changes before another Job is created, so that a
step that was decided earlier, and would make the claim ready, conflicts."""
CLAIM_UID: Final = "claim-uid"
"""The annotation of a Job with the uid of the claim that it fills."""
URI: Final = "uri"
"""The annotation with the version's folder in S3, which all objects have that the controller created."""
EXPIRED_AT: Final = "expired-at"
"""The annotation of an expired claim with the time since which no new pod gets it, in RFC 3339."""
PROBLEM: Final = "problem"
"""The annotation with the reason of a state such as failed."""
_NONE: Final[Mapping[str, str]] = {}
_LONGEST: Final = 500
"""The maximum length of a problem."""
OUTDATED_REASON: Final = (
    "the version was published again with other files; publish new versions, or delete this claim to load it again"
)


def with_state(
    claim: Claim, state: str, problem: str, prefix: str, annotations: Mapping[str, str] = _NONE
) -> list[Step]:
    """Set the state of a claim, the reason, and further annotations; nothing if it has all of them."""
    reason = problem[:_LONGEST]
    has_reason = claim.annotations.get(f"{prefix}/{PROBLEM}", "") == reason
    if claim.labels.get(f"{prefix}/state") == state and has_reason and annotations.items() <= claim.annotations.items():
        return []
    label = labelled(claim, state, reason, prefix, annotations)
    if state == READY:
        return [label, Emit(label.of, "Normal", "Ready", "the version is published again")]
    if state == LOADING:
        return [label]
    return [label, Emit(label.of, "Normal" if state == EXPIRED else "Warning", _EVENTS[state], reason)]


def labelled(claim: Claim, state: str, reason: str, prefix: str, annotations: Mapping[str, str] = _NONE) -> Label:
    """Set the state of a claim. What the controller has set before stays."""
    ours = ("app.kubernetes.io/managed-by", f"{prefix}/model", f"{prefix}/version")
    labels = {label: claim.labels[label] for label in ours if label in claim.labels}
    stay = tuple(f"{prefix}/{each}" for each in (URI, DIGEST, LOADS))
    kept = {
        key: value
        for key, value in claim.annotations.items()
        if key in stay or key.startswith("trident.netapp.io/share")
    }
    problem = {f"{prefix}/{PROBLEM}": reason} if reason else {}
    return Label(ref_of(CLAIMS, claim), {**labels, f"{prefix}/state": state}, {**kept, **annotations, **problem})


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
    return state, OUTDATED_REASON if state == OUTDATED else ""


def is_listed(uri: str, published: Published, settings: Settings) -> bool:
    """Whether the source of a version was listed, so that a version that is missing there does not exist.

    Sources may be in one another: then all of those were listed that may have the version.
    """
    names = [name for name, source in settings.all_sources.items() if uri.startswith(root(source))]
    return bool(names) and published.sources.keys() >= set(names)


def is_current(uri: str, published: Published, settings: Settings) -> bool:
    """Whether the last listing of a version's source succeeded."""
    return not any(uri.startswith(root(settings.all_sources[name])) for name in published.stale)


def root(source: Source) -> str:
    """The folder of a source in S3, with a slash at its end."""
    return "/".join(filter(None, (f"s3://{source.bucket}", source.prefix, "")))
