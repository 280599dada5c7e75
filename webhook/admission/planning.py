"""Planning a pod: the plans of its strategies, merged."""

from collections.abc import Sequence
from itertools import chain, combinations
from typing import Any, NamedTuple

import msgspec

from webhook.admission.choosing import Choice
from webhook.kubernetes.patch import JSON
from webhook.model.refusals import Conflict, InvalidAnnotation
from webhook.settings import Settings
from webhook.strategies import STRATEGIES
from webhook.strategies.strategy import Delivery, Location, Plan, Target


class PlacedModel(msgspec.Struct, frozen=True):
    """A delivery, and the location of its files."""

    delivery: Delivery[Any]
    location: Location

    @property
    def path(self) -> str:
        """The path of the model's folder in containers."""
        request = self.delivery.request
        return request.model_path or f"{request.mount_path}/{self.delivery.artifact.folder}"


class PodPlan(NamedTuple):
    """What a pod needs for all of its models."""

    models: tuple[PlacedModel, ...]
    """In the order of the choices."""
    strategies: tuple[str, ...]
    """The names of the strategies that deliver them."""
    plan: Plan
    """The plans of these strategies, merged."""


def plan_pod(choices: Sequence[Choice], target: Target, settings: Settings) -> PodPlan:
    """Call each chosen strategy once, and merge the plans. Raises Refusal."""
    deliveries: dict[str, list[Delivery[Any]]] = {}
    for choice in choices:
        deliveries.setdefault(choice.strategy, []).append(choice.delivery)
    plans = {
        name: STRATEGIES[name].plan(chosen, target, settings.of_strategies[name]) for name, chosen in deliveries.items()
    }
    locations = {name: iter(plan.locations) for name, plan in plans.items()}
    models = tuple([_placed(choice, next(locations[choice.strategy])) for choice in choices])
    _check_apart(models)
    return PodPlan(models, tuple(plans), _merged(list(plans.values())))


def _placed(choice: Choice, location: Location) -> PlacedModel:
    request = choice.delivery.request
    if not request.read_only and not location.is_writable:
        allowed = f'"true", because containers cannot write to models by the strategy {choice.strategy}'
        raise InvalidAnnotation(request.where("read-only"), "false", allowed)
    return PlacedModel(choice.delivery, location)


def _check_apart(models: Sequence[PlacedModel]) -> None:
    """Raise Conflict if the folder of a model is inside that of another model."""
    for model, other in combinations([model.location for model in models], 2):
        outer, inner = sorted(f"{location.sub_path}/".lstrip("/") for location in (model, other))
        if model.volume == other.volume and inner.startswith(outer):
            raise Conflict(f"two models would share the folder {outer} of a volume; download one into another volume")


def _merged(plans: Sequence[Plan]) -> Plan:
    if len(plans) == 1:
        return plans[0]
    return Plan(
        locations=tuple(chain.from_iterable(plan.locations for plan in plans)),
        volumes=_by_name(plans, "volumes"),
        init_containers=_by_name(plans, "init_containers"),
        node_selector=_united(plans, "node_selector"),
        preferred_node_labels=_distinct(plans, "preferred_node_labels"),
        tolerations=_distinct(plans, "tolerations"),
        image_pull_secrets=_distinct(plans, "image_pull_secrets"),
        scheduling_gates=_distinct(plans, "scheduling_gates"),
        annotations=_united(plans, "annotations"),
        warnings=_distinct(plans, "warnings"),
    )


def _distinct(plans: Sequence[Plan], field: str) -> tuple[Any, ...]:
    values = list[Any]()
    for value in chain.from_iterable(getattr(plan, field) for plan in plans):
        if value not in values:
            values.append(value)
    return tuple(values)


def _by_name(plans: Sequence[Plan], field: str) -> tuple[JSON, ...]:
    """Each volume or container once. Raises Conflict where two of one name differ."""
    values: tuple[JSON, ...] = _distinct(plans, field)
    for value, other in combinations(values, 2):
        if value["name"] == other["name"]:
            raise Conflict(f"two models need a different {value['name']} each; ask for one of them in another pod")
    return values


def _united(plans: Sequence[Plan], field: str) -> dict[str, str]:
    united = dict[str, str]()
    for key, value in chain.from_iterable(getattr(plan, field).items() for plan in plans):
        if united.setdefault(key, value) != value:
            raise Conflict(f"two models need {key}={united[key]} and {key}={value}; ask for one of them in another pod")
    return united
