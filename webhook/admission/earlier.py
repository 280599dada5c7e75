"""The decision of an earlier pass of the webhook about the same pod, if it still holds.

Between two passes, an alias may move, a strategy may become unavailable, and a replica with other settings may answer.
The pod keeps the models of the first pass, and containers that other webhooks have added get the same. The annotation
`injected` records these models. Users copy it along with a pod, so the volumes and init containers are checked as well.
"""

from collections.abc import Sequence
from typing import NamedTuple

from webhook.admission.choosing import Choice, deliver
from webhook.admission.naming import slugs
from webhook.admission.planning import plan_pod
from webhook.admission.recognition import missing_init_containers, missing_volumes
from webhook.annotations import injected
from webhook.annotations.contract import INJECTED
from webhook.annotations.injected import InjectedModel
from webhook.fetching.container import downloads
from webhook.model.artifact import Artifact
from webhook.model.refusals import Refusal
from webhook.model.request import ModelRequest, PodRequest
from webhook.settings import Settings
from webhook.strategies.strategy import Target


class Earlier(NamedTuple):
    """The result of an earlier pass."""

    models: tuple[InjectedModel, ...]
    choices: list[Choice] | None
    """The choices that lead to the same plan. None if no choice does, because the earlier pass had other settings."""


def earlier_decision(
    request: PodRequest,
    artifacts: Sequence[Artifact],
    candidates: Sequence[dict[str, str]],
    target: Target,
    settings: Settings,
) -> Earlier | None:
    """The earlier decision. None in a first pass, and if the pod lacks what its annotation records.

    `artifacts` and `candidates` are the current results of resolving the requests and of `allowed`.
    """
    written = (target.pod.metadata.annotations or {}).get(f"{settings.annotation_prefix}/{INJECTED}")
    recorded = injected.decode(written) if written else ()
    if not recorded or len(recorded) != len(request.models):
        return None
    if not all(map(_satisfies, recorded, request.models, candidates)):
        return None
    uris = {model.uri for model in recorded}
    if uris != {artifact.uri for artifact in artifacts} and uris <= {
        download.uri for download in downloads(target.pod.spec)
    }:
        return Earlier(recorded, None)
    return _verified(request, artifacts, recorded, target, settings)


def _satisfies(recorded: InjectedModel, request: ModelRequest, candidates: dict[str, str]) -> bool:
    is_allowed = candidates.get(recorded.strategy) == ""
    return is_allowed and (recorded.model, recorded.asked) == (request.model, request.version)


def _verified(
    request: PodRequest,
    artifacts: Sequence[Artifact],
    recorded: Sequence[InjectedModel],
    target: Target,
    settings: Settings,
) -> Earlier | None:
    """The recorded decision, if the pod has all volumes and init containers of its plan."""
    former = [
        artifact if artifact.uri == model.uri else Artifact(model.model, model.version, artifact.source)
        for artifact, model in zip(artifacts, recorded, strict=True)
    ]
    parts = zip(request.models, former, slugs(former), recorded, strict=True)
    choices = [
        Choice(model.strategy, deliver(asked, artifact, slug, model.strategy)) for asked, artifact, slug, model in parts
    ]
    try:
        plan, spec = plan_pod(choices, target, settings).plan, target.pod.spec
        is_complete = (plan.volumes or plan.init_containers) and not (
            missing_volumes(spec, plan.volumes, plan.init_containers)
            or missing_init_containers(spec, plan.init_containers)
        )
    except Refusal:
        return None
    if not is_complete:
        return None
    models = tuple(
        InjectedModel.of(model.asked, model.strategy, artifact) if artifact is current else model
        for model, artifact, current in zip(recorded, former, artifacts, strict=True)
    )
    return Earlier(models, choices)
