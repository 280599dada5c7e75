"""The ranking of all ways in a situation, with the reason of each place."""

from dataclasses import replace
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from webhook.advice.situation import GB, Names, Situation, Store
from webhook.advice.way import Assessment, Estimate, Way
from webhook.advice.ways import WAYS

Meets: TypeAlias = Literal["always", "warm", "never"]
"""Which starts meet the target: all, those on a node that has started a replica before, or none."""

_MEETS: Final[tuple[Meets, ...]] = ("always", "warm", "never")


class RankedWay(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A way, assessed. Times are in seconds, sizes in bytes, costs in the currency of the prices."""

    name: str
    summary: str
    excluded: str | None
    """Why the way is impossible."""
    why_not: str | None
    """Why another way is recommended. None for the recommended way."""
    meets_target: Meets
    cold_seconds: int
    warm_seconds: int
    bottleneck: str
    bottleneck_bytes: int
    bottleneck_bytes_per_second: int
    transfer_bytes: int
    steps_in_first_year: int
    setup: tuple[str, ...]
    each_version: tuple[str, ...]
    gb_months: dict[Store, float]
    cost: float | None
    """A month's storage. None if the price of a kind of storage is not known."""
    needs: tuple[str, ...]
    """What the situation does not tell, and has to be checked."""
    trade_offs: tuple[str, ...]
    commands: tuple[str, ...]


class Recommendation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All ways, the recommended one first and those that are impossible last."""

    recommended: str | None
    """The name of the way. None if every way is impossible."""
    reasons: tuple[str, ...]
    situation: Situation
    ways: tuple[RankedWay, ...]


class _Candidate(NamedTuple):
    """A way, and what it is ranked by."""

    place: int
    """The way's place among `WAYS`."""
    way: Way
    assessment: Assessment
    meets: Meets
    steps: int
    cost: float | None

    @property
    def estimate(self) -> Estimate:
        return self.assessment.estimate


def recommend(situation: Situation, names: Names) -> Recommendation:
    """Rank the ways by the starts that meet the target, the steps in the first year, cost, cold and warm start.

    Impossible ways are last. Costs are compared if they are known for every way that is possible.
    """
    candidates = [_candidate(place, way, situation) for place, way in enumerate(WAYS)]
    possible = [candidate for candidate in candidates if candidate.assessment.excluded is None]
    with_costs = all(candidate.cost is not None for candidate in possible)
    possible.sort(key=lambda candidate: _key(candidate, with_costs=with_costs))
    impossible = [candidate for candidate in candidates if candidate.assessment.excluded is not None]
    best = possible[0] if possible else None
    return Recommendation(
        recommended=best.way.name if best else None,
        reasons=_reasons(best, situation, with_costs=with_costs) if best else (),
        situation=situation,
        ways=tuple(
            _ranked(candidate, situation, names, _why_not(candidate, best, situation, with_costs=with_costs))
            for candidate in (*possible, *impossible)
        ),
    )


def _candidate(place: int, way: Way, situation: Situation) -> _Candidate:
    assessment = way.assess(situation)
    if situation.platform not in way.platforms:
        platform = "Kubernetes" if "kubernetes" in way.platforms else "Docker without Kubernetes"
        excluded = f"it is a way of {platform} (--platform {situation.platform})"
        assessment = replace(assessment, excluded=excluded)
    estimate, target = assessment.estimate, situation.target_seconds
    return _Candidate(
        place=place,
        way=way,
        assessment=assessment,
        meets="always" if estimate.cold <= target else "warm" if estimate.warm <= target else "never",
        steps=len(assessment.once) + len(assessment.each_version) * situation.versions_in_first_year,
        cost=_cost(assessment, situation),
    )


def _cost(assessment: Assessment, situation: Situation) -> float | None:
    if not assessment.stored.keys() <= situation.prices.keys():
        return None
    return round(sum(size / GB * situation.prices[store] for store, size in assessment.stored.items()), 2)


def _key(candidate: _Candidate, *, with_costs: bool) -> tuple[float, ...]:
    cost = candidate.cost if with_costs and candidate.cost is not None else 0
    estimate = candidate.estimate
    return (_MEETS.index(candidate.meets), candidate.steps, cost, estimate.cold, estimate.warm, candidate.place)


def _reasons(best: _Candidate, situation: Situation, *, with_costs: bool) -> tuple[str, ...]:
    estimate, target = best.estimate, situation.target_seconds
    versions = situation.versions_in_first_year
    if best.meets == "always":
        start = f"A start takes {estimate.cold} s at most, and the target is {target} s."
    elif best.meets == "warm":
        start = (
            f"No possible way meets the target of {target} s on a new node. This one meets it where a replica has "
            f"started before: {estimate.warm} s, and {estimate.cold} s on a new node."
        )
    else:
        start = (
            f"No possible way meets the target of {target} s: this one takes {estimate.warm} to {estimate.cold} s. "
            "The target, or the figures of the network and the disks, would have to change."
        )
    assessment = best.assessment
    steps = (
        f"Of the ways that are as good in that, none takes fewer steps: {best.steps} in the first year, which are "
        f"{len(assessment.once)} to introduce it and {len(assessment.each_version)} for each of {versions} "
        f"version{'s' * (versions > 1)}."
    )
    if with_costs:
        cost = f"Storage costs {best.cost} a month. Costs decide between ways with the same number of steps."
    else:
        cost = "Costs are not compared, because --price is not given for each kind of storage."
    return (start, steps, cost)


def _why_not(candidate: _Candidate, best: _Candidate | None, situation: Situation, *, with_costs: bool) -> str | None:
    """Why a way is impossible, or the first criterion in which it is worse than the best one."""
    if candidate.assessment.excluded is not None or best is None or candidate is best:
        return candidate.assessment.excluded
    name, estimate, target = best.way.name, candidate.estimate, situation.target_seconds
    if candidate.meets != best.meets:
        start, time = ("on a new node", estimate.cold) if candidate.meets == "warm" else ("on any node", estimate.warm)
        return f"a start {start} takes {time} s, and the target is {target} s"
    if candidate.steps != best.steps:
        return f"it takes {candidate.steps} steps in the first year, and {name} {best.steps}"
    if with_costs and candidate.cost != best.cost:
        return f"storage costs {candidate.cost} a month, and {best.cost} with {name}"
    other = best.estimate
    return f"starts take {estimate.warm} to {estimate.cold} s, and {other.warm} to {other.cold} s with {name}"


def _ranked(candidate: _Candidate, situation: Situation, names: Names, why_not: str | None) -> RankedWay:
    way, assessment, estimate = candidate.way, candidate.assessment, candidate.estimate
    return RankedWay(
        name=way.name,
        summary=way.summary,
        excluded=assessment.excluded,
        why_not=why_not,
        meets_target=candidate.meets,
        cold_seconds=estimate.cold,
        warm_seconds=estimate.warm,
        bottleneck=estimate.bottleneck,
        bottleneck_bytes=estimate.amount,
        bottleneck_bytes_per_second=estimate.rate,
        transfer_bytes=estimate.transfer,
        steps_in_first_year=candidate.steps,
        setup=assessment.once,
        each_version=assessment.each_version,
        gb_months={store: round(size / GB, 2) for store, size in assessment.stored.items()},
        cost=candidate.cost,
        needs=assessment.unchecked,
        trade_offs=assessment.trade_offs,
        commands=way.commands(situation, names),
    )
