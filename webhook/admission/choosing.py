"""The choice of a strategy for each model: the first that the rules allow and that is available."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

from webhook.admission import rules
from webhook.admission.account import service_account
from webhook.admission.naming import slugs
from webhook.model.artifact import Artifact
from webhook.model.refusals import Conflict
from webhook.model.request import ModelRequest
from webhook.settings import Settings
from webhook.strategies import STRATEGIES
from webhook.strategies.strategy import Delivery, StrategyUnavailable, Target


class Choice(NamedTuple):
    """A model on its way into the pod, and the strategy that delivers it."""

    strategy: str
    delivery: Delivery[Any]
    passed_over: tuple[str, ...] = ()
    """Warnings: the strategies that come before it in the request, each with the reason why it is not used."""


def allowed(request: ModelRequest, target: Target, asked_account: str | None, settings: Settings) -> dict[str, str]:
    """The strategies of a request with the reason why a rule forbids them, empty where none does.

    Raises Forbidden where rules forbid all of them. `asked_account` is the annotation of the pod.
    """
    candidates = (request.pinned_strategy,) if request.pinned_strategy else request.strategies
    if not settings.rules:
        return dict.fromkeys(candidates, "")
    reasons, refusals = dict[str, str](), list[rules.Forbidden]()
    for strategy in candidates:
        account = service_account(target.pod.spec, asked_account, (strategy,), settings)
        try:
            rules.check(request, strategy, target.namespace, account, settings)
        except rules.Forbidden as refusal:
            refusals.append(refusal)
            reasons[strategy] = str(refusal)
        else:
            reasons[strategy] = ""
    if len(refusals) == len(candidates):
        raise refusals[0]
    return reasons


def choose(
    requests: Sequence[ModelRequest],
    artifacts: Sequence[Artifact],
    candidates: Sequence[dict[str, str]],
    target: Target,
    settings: Settings,
) -> list[Choice]:
    """The choice for each request, whose artifact and `allowed` strategies are given.

    Raises Conflict where two requests mean the same artifact, and StrategyUnavailable.
    """
    for artifact, other in combinations(artifacts, 2):
        if artifact.uri == other.uri:
            raise Conflict(f"{artifact.uri} is asked for twice; ask once")
    return [
        _choose(*parts, target, settings)
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
    target: Target,
    settings: Settings,
) -> Choice:
    reasons = dict[str, str]()
    for strategy, forbidden in candidates.items():
        delivery = deliver(request, artifact, slug, strategy)
        reason = forbidden or STRATEGIES[strategy].availability(delivery, target, settings.of_strategies[strategy])
        if not reason:
            return Choice(strategy, delivery, tuple(_passed_over(request, *item) for item in reasons.items()))
        reasons[strategy] = reason
    why = "; ".join(f"{strategy}: {reason}" for strategy, reason in reasons.items())
    hint = "; restart the rollout to choose anew" if request.pinned_strategy else ""
    raise StrategyUnavailable(f"model {request.model} {artifact.version} cannot be delivered now: {why}{hint}")


def _passed_over(request: ModelRequest, strategy: str, reason: str) -> str:
    return f"{request.model}: strategy {strategy} is not used: {reason}"
