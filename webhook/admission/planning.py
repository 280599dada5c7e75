"""The plans of all strategies for one pod, merged into one."""

from collections.abc import Sequence
from itertools import chain, combinations
from typing import Any

import msgspec

from webhook.admission.choosing import Choice
from webhook.kubernetes.patch import JSON
from webhook.kubernetes.pod import Pod
from webhook.model.refusals import Conflict, InvalidAnnotation
from webhook.settings import Settings
from webhook.strategies import STRATEGIES
from webhook.strategies.strategy import Delivery, Location, Plan


class PlacedModel(msgspec.Struct, frozen=True):
    """A delivery, and where its files are."""

    delivery: Delivery[Any]
    location: Location

    @property
    def path(self) -> str:
        """The model's folder as a container sees it."""
        request = self.delivery.request
        return request.model_path or f"{request.mount_path}/{self.delivery.artifact.folder}"


class PodPlan(msgspec.Struct, frozen=True):
    """What the pod needs for all of its models."""

    models: tuple[PlacedModel, ...]
    """In the order of the choices."""
    volumes: tuple[JSON, ...]
    init_containers: tuple[JSON, ...]
    node_selector: dict[str, str]
    tolerations: tuple[JSON, ...]
    image_pull_secrets: tuple[str, ...]
    scheduling_gates: tuple[str, ...]
    annotations: dict[str, str]
    needs_credentials: bool
    warnings: tuple[str, ...]


def plan_pod(choices: Sequence[Choice], pod: Pod, settings: Settings) -> PodPlan:
    """Plan the choices, with each strategy once. Raises Refusal."""
    locations, plans = dict[int, Location](), list[Plan]()
    for name, strategy in STRATEGIES.items():
        chosen = [index for index, choice in enumerate(choices) if choice.strategy == name]
        if chosen:
            deliveries = [choices[index].delivery for index in chosen]
            plan = strategy.plan(deliveries, pod, settings.of_strategies[name])
            locations |= zip(chosen, plan.locations, strict=True)
            plans.append(plan)
    models = tuple(PlacedModel(choice.delivery, locations[index]) for index, choice in enumerate(choices))
    for model, choice in zip(models, choices, strict=True):
        _check_writable(model, choice.strategy)
    _check_apart(models)
    return PodPlan(
        models=models,
        volumes=tuple(chain.from_iterable(plan.volumes for plan in plans)),
        init_containers=tuple(chain.from_iterable(plan.init_containers for plan in plans)),
        node_selector=_merged(plans, "node_selector", "select nodes"),
        tolerations=tuple(chain.from_iterable(plan.tolerations for plan in plans)),
        image_pull_secrets=_distinct(plans, "image_pull_secrets"),
        scheduling_gates=_distinct(plans, "scheduling_gates"),
        annotations=_merged(plans, "annotations", "set the annotation"),
        needs_credentials=any(plan.needs_credentials for plan in plans),
        warnings=tuple(chain.from_iterable(plan.warnings for plan in plans)),
    )


def _check_writable(model: PlacedModel, strategy: str) -> None:
    request = model.delivery.request
    if not request.read_only and not model.location.is_writable:
        allowed = f'"true", for containers cannot write to models by the strategy {strategy}'
        raise InvalidAnnotation(request.where("read-only"), "false", allowed)


def _check_apart(models: Sequence[PlacedModel]) -> None:
    """Raise Conflict where the folder of a model lies within that of another one."""
    for model, other in combinations((model.location for model in models), 2):
        outer, inner = sorted(f"{location.sub_path}/".lstrip("/") for location in (model, other))
        if model.volume == other.volume and inner.startswith(outer):
            raise Conflict(f"two models would share the folder {outer}; download one into another volume")


def _merged(plans: Sequence[Plan], field: str, what: str) -> dict[str, str]:
    merged = dict[str, str]()
    for key, value in chain.from_iterable(getattr(plan, field).items() for plan in plans):
        if merged.setdefault(key, value) != value:
            raise Conflict(
                f"two models {what} {key}={merged[key]} and {key}={value}; ask for one of them in another pod"
            )
    return merged


def _distinct(plans: Sequence[Plan], field: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(getattr(plan, field) for plan in plans)))
