"""The choice of a strategy for each model: the first that the rules allow and that is available."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from webhook.admission import rules
from webhook.admission.naming import slugs
from webhook.model.artifact import Artifact
from webhook.model.refusals import Conflict
from webhook.model.request import ModelRequest
from webhook.settings import Settings
from webhook.strategies import STRATEGIES
from webhook.strategies.strategy import Delivery, StrategyUnavailable


class Choice(NamedTuple):
    """A model on its way into the pod, and the strategy that delivers it."""

    strategy: str
    delivery: Delivery[Any]
    passed_over: tuple[str, ...]
    """Warnings: the strategies that come before it in the request, each with the reason why it is not used."""


def allowed(request: ModelRequest, namespace: str, account: str, settings: Settings) -> dict[str, str]:
    """The strategies of a request with the reason why a rule forbids them, empty where none does.

    Raises Forbidden where rules forbid all of them.
    """
    candidates = (request.pinned_strategy,) if request.pinned_strategy else request.strategies
    reasons = dict[str, str]()
    for strategy in candidates:
        try:
            rules.check(request, strategy, namespace, account, settings)
        except rules.Forbidden as refusal:
            if len(reasons) == len(candidates) - 1 and all(reasons.values()):
                raise
            reasons[strategy] = str(refusal)
        else:
            reasons[strategy] = ""
    return reasons


def choose(
    requests: Sequence[ModelRequest],
    artifacts: Sequence[Artifact],
    candidates: Sequence[dict[str, str]],
    namespace: str,
    settings: Settings,
) -> list[Choice]:
    """The choice for each request, whose artifact and `allowed` strategies are given.

    Raises Conflict where two requests mean the same artifact, and StrategyUnavailable.
    """
    for artifact, other in combinations(artifacts, 2):
        if artifact.uri == other.uri:
            raise Conflict(f"{artifact.uri} is asked for twice; ask once")
    return [
        _choose(*parts, namespace, settings)
        for parts in zip(requests, artifacts, slugs(artifacts), candidates, strict=True)
    ]


def deliver(request: ModelRequest, artifact: Artifact, slug: str, strategy: str) -> Delivery[Any]:
    """The delivery of an artifact by one of the strategies that the request asks for."""
    return Delivery(request, artifact, slug, request.options[request.strategies.index(strategy)])


def _choose(  # noqa: PLR0913, PLR0917 - what describes one model
    request: ModelRequest,
    artifact: Artifact,
    slug: str,
    candidates: dict[str, str],
    namespace: str,
    settings: Settings,
) -> Choice:
    reasons = dict[str, str]()
    for strategy, forbidden in candidates.items():
        delivery = deliver(request, artifact, slug, strategy)
        reason = forbidden or _unavailable(strategy, delivery, namespace, settings)
        if not reason:
            return Choice(strategy, delivery, tuple(_passed_over(request, reasons)))
        reasons[strategy] = reason
    why = "; ".join(f"{strategy}: {reason}" for strategy, reason in reasons.items())
    hint = "; restart the rollout to choose anew" if request.pinned_strategy else ""
    raise StrategyUnavailable(f"model {request.model} {artifact.version} cannot be delivered now: {why}{hint}")


def _unavailable(strategy: str, delivery: Delivery[Any], namespace: str, settings: Settings) -> str | None:
    return STRATEGIES[strategy].availability(delivery, namespace, settings.of_strategies[strategy])


def _passed_over(request: ModelRequest, reasons: dict[str, str]) -> Iterator[str]:
    return (f"{request.model}: strategy {strategy} is not used: {reason}" for strategy, reason in reasons.items())
