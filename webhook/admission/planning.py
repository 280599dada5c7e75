"""The plans of all strategies for one pod, merged into one."""

from collections.abc import Sequence
from itertools import chain, combinations
from typing import Any, NamedTuple

import msgspec

from webhook.admission.choosing import Choice
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


class PodPlan(NamedTuple):
    """What the pod needs for all of its models."""

    models: tuple[PlacedModel, ...]
    """In the order of the choices."""
    plan: Plan
    """The plans of all strategies, merged."""


def plan_pod(choices: Sequence[Choice], pod: Pod, settings: Settings) -> PodPlan:
    """Plan the choices, with each strategy once. Raises Refusal."""
    deliveries = dict[str, list[Delivery[Any]]]()
    for choice in choices:
        deliveries.setdefault(choice.strategy, []).append(choice.delivery)
    plans = {
        name: strategy.plan(deliveries[name], pod, settings.of_strategies[name])
        for name, strategy in STRATEGIES.items()
        if name in deliveries
    }
    locations = {name: iter(plan.locations) for name, plan in plans.items()}
    models = tuple(PlacedModel(choice.delivery, next(locations[choice.strategy])) for choice in choices)
    for model, choice in zip(models, choices, strict=True):
        _check_writable(model, choice.strategy)
    _check_apart(models)
    return PodPlan(models, _merged(list(plans.values())))


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


def _merged(plans: Sequence[Plan]) -> Plan:
    if len(plans) == 1:
        return plans[0]
    return Plan(
        locations=_all(plans, "locations"),
        volumes=_all(plans, "volumes"),
        init_containers=_all(plans, "init_containers"),
        node_selector=_united(plans, "node_selector", "select nodes"),
        tolerations=_all(plans, "tolerations"),
        image_pull_secrets=_all(plans, "image_pull_secrets"),
        scheduling_gates=_all(plans, "scheduling_gates"),
        annotations=_united(plans, "annotations", "set the annotation"),
        needs_credentials=any(plan.needs_credentials for plan in plans),
        warnings=_all(plans, "warnings"),
    )


def _all(plans: Sequence[Plan], field: str) -> tuple[Any, ...]:
    return tuple(chain.from_iterable(getattr(plan, field) for plan in plans))


def _united(plans: Sequence[Plan], field: str, what: str) -> dict[str, str]:
    united = dict[str, str]()
    for key, value in chain.from_iterable(getattr(plan, field).items() for plan in plans):
        if united.setdefault(key, value) != value:
            raise Conflict(
                f"two models {what} {key}={united[key]} and {key}={value}; ask for one of them in another pod"
            )
    return united
