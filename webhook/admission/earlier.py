"""The decision that an earlier pass of the webhook has made about the same pod, if it still holds.

Between two passes an alias may move, a strategy become unavailable, or a replica with other settings answer. The pod
keeps what it got, and containers that other webhooks have added get the same. The annotation `injected` tells what that
is. It proves nothing alone, because it is copied along with a pod: the volumes and init containers have to be there.
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
    """What the pod got in an earlier pass."""

    models: tuple[InjectedModel, ...]
    choices: list[Choice] | None
    """The choices that lead to the same plan. None where other settings were in force, so that none does."""


def earlier_decision(
    request: PodRequest,
    artifacts: Sequence[Artifact],
    candidates: Sequence[dict[str, str]],
    target: Target,
    settings: Settings,
) -> Earlier | None:
    """The earlier decision. None in a first pass, and where the pod does not show what its annotation tells.

    `artifacts` and `candidates` are what the requests mean, and which strategies are allowed for them, now.
    """
    written = (target.pod.metadata.annotations or {}).get(f"{settings.annotation_prefix}/{INJECTED}")
    told = injected.decode(written) if written else ()
    if not told or len(told) != len(request.models) or not all(map(_answers, told, request.models, candidates)):
        return None
    uris = {model.uri for model in told}
    if uris != {artifact.uri for artifact in artifacts} and uris <= {
        download.uri for download in downloads(target.pod.spec)
    }:
        return Earlier(told, None)
    return _shown(request, artifacts, told, target, settings)


def _answers(told: InjectedModel, request: ModelRequest, candidates: dict[str, str]) -> bool:
    is_allowed = candidates.get(told.strategy) == ""
    return is_allowed and (told.model, told.asked) == (request.model, request.version)


def _shown(
    request: PodRequest,
    artifacts: Sequence[Artifact],
    told: Sequence[InjectedModel],
    target: Target,
    settings: Settings,
) -> Earlier | None:
    """The decision that the annotation tells, if each volume and init container of its plan is in the pod."""
    former = [
        artifact if artifact.uri == model.uri else Artifact(model.model, model.version, artifact.source)
        for artifact, model in zip(artifacts, told, strict=True)
    ]
    parts = zip(request.models, former, slugs(former), told, strict=True)
    choices = [
        Choice(model.strategy, deliver(asked, artifact, slug, model.strategy)) for asked, artifact, slug, model in parts
    ]
    try:
        plan, spec = plan_pod(choices, target, settings).plan, target.pod.spec
        is_shown = (plan.volumes or plan.init_containers) and not (
            missing_volumes(spec, plan.volumes, plan.init_containers)
            or missing_init_containers(spec, plan.init_containers)
        )
    except Refusal:
        return None
    if not is_shown:
        return None
    models = tuple(
        InjectedModel.of(model.asked, model.strategy, artifact) if artifact is now else model
        for model, artifact, now in zip(told, former, artifacts, strict=True)
    )
    return Earlier(models, choices)
