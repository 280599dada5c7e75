"""A recommendation as text for people."""

from collections.abc import Iterable, Mapping

from webhook.advice.recommend import RankedWay, Recommendation
from webhook.advice.situation import Situation
from webhook.commands.output import in_units, print_line, print_table


def print_recommendation(recommendation: Recommendation, assumed: Mapping[str, str]) -> None:
    """Print the recommended way, the numbers of the possible ways, and why the others are not recommended."""
    possible = [way for way in recommendation.ways if way.excluded is None]
    print_line(_described(recommendation.situation))
    print_line("")
    if possible:
        _print_best(recommendation, possible)
    else:
        print_line("No way is possible:")
    _print_list("Other ways" if possible else "", _others(recommendation))
    if assumed:
        print_line("Assumed, because not given:")
        print_line("  " + " ".join(f"{flag} {value}" for flag, value in assumed.items()))


def _print_best(recommendation: Recommendation, possible: list[RankedWay]) -> None:
    best = possible[0]
    print_line(f"Recommended: {best.name}")
    print_line(best.summary)
    print_line("")
    _print_numbers(possible)
    _print_list("Why", [*recommendation.reasons, _estimate(best)])
    _print_list("Once", best.setup)
    _print_list("For each version", best.each_version)
    _print_list("Needs, which was not checked", best.needs)
    _print_list("Trade-offs", best.trade_offs)
    _print_list("Next", best.commands, mark="$ ")


def _print_numbers(possible: list[RankedWay]) -> None:
    with_costs = any(way.cost is not None for way in possible)
    heads = ("WAY", "COLD START", "WARM START", "TRANSFER", "GB-MONTHS", "STEPS A YEAR")
    rows = [
        (
            way.name,
            f"{way.cold_seconds} s",
            f"{way.warm_seconds} s",
            in_units(way.transfer_bytes),
            f"{sum(way.gb_months.values()):.1f}",
            str(way.steps_in_first_year),
            *(("-" if way.cost is None else f"{way.cost:.2f}",) if with_costs else ()),
        )
        for way in possible
    ]
    print_table((*heads, "COST A MONTH") if with_costs else heads, rows)
    print_line("")


def _print_list(title: str, lines: Iterable[str], mark: str = "- ") -> None:
    """Print a list under its title, unless it is empty. A comment has no mark."""
    if lines := tuple(lines):
        if title:
            print_line(f"{title}:")
        for line in lines:
            print_line(f"  {'' if line.startswith('#') else mark}{line}")
        print_line("")


def _described(situation: Situation) -> str:
    return (
        f"Size {in_units(situation.bytes)}, updates a month: {situation.versions_a_month:g}, replicas: "
        f"{situation.replicas}, nodes: {situation.nodes}, target: {situation.target_seconds} s, coupling: "
        f"{situation.coupling}, connectivity: {situation.connectivity}, {situation.platform}, {situation.environment}"
    )


def _estimate(way: RankedWay) -> str:
    if not way.bottleneck_bytes_per_second:
        return "The files are there already, so nothing is transferred."
    return (
        f"In a cold start, {in_units(way.bottleneck_bytes)} pass {way.bottleneck}, "
        f"{in_units(way.bottleneck_bytes_per_second)} a second: {way.cold_seconds} s."
    )


def _others(recommendation: Recommendation) -> list[str]:
    others = [way for way in recommendation.ways if way.name != recommendation.recommended]
    width = max(len(way.name) for way in others)
    return [f"{way.name:<{width}}  {'impossible: ' if way.excluded else ''}{way.why_not}" for way in others]
