"""Choosing the strategy of each model: the first that the rules allow and that is available."""

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
    """The strategy chosen for a model, and what it has to deliver."""

    strategy: str
    delivery: Delivery[Any]
    warnings: tuple[str, ...] = ()
    """Why preferred strategies are not used."""


def allowed(request: ModelRequest, target: Target, asked_account: str | None, settings: Settings) -> dict[str, str]:
    """The strategies of a request, each with the reason why a rule forbids it, or an empty text.

    Raises Forbidden if rules forbid all of them. `asked_account` is the pod's annotation `service-account`.
    """
    candidates = (request.pinned_strategy,) if request.pinned_strategy else request.strategies
    if not settings.rules:
        return dict.fromkeys(candidates, "")
    reasons: dict[str, str] = {}
    refusals: list[rules.Forbidden] = []
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
    """Choose the strategy of each request. `candidates` are the results of `allowed`.

    Raises Conflict if two requests resolve to the same artifact, and StrategyUnavailable.
    """
    for artifact, other in combinations(artifacts, 2):
        if artifact.uri == other.uri:
            raise Conflict(f"the pod asks for {artifact.uri} twice; remove one of the entries")
    return [
        _choose(*parts, target, settings)
        for parts in zip(requests, artifacts, slugs(artifacts), candidates, strict=True)
    ]


def deliver(request: ModelRequest, artifact: Artifact, slug: str, strategy: str) -> Delivery[Any]:
    """The delivery of an artifact by one of the request's strategies."""
    return Delivery(request, artifact, slug, request.options[request.strategies.index(strategy)])


def _choose(  # noqa: PLR0913, PLR0917 - all of them describe one model
    request: ModelRequest,
    artifact: Artifact,
    slug: str,
    candidates: dict[str, str],
    target: Target,
    settings: Settings,
) -> Choice:
    reasons: dict[str, str] = {}
    for strategy, forbidden in candidates.items():
        delivery = deliver(request, artifact, slug, strategy)
        reason = forbidden or STRATEGIES[strategy].availability(delivery, target, settings.of_strategies[strategy])
        if not reason:
            return Choice(strategy, delivery, _warnings(request, reasons) if reasons else ())
        reasons[strategy] = reason
    problems = "; ".join(f"{strategy}: {reason}" for strategy, reason in reasons.items())
    hint = "; restart the rollout to choose a strategy again" if request.pinned_strategy else ""
    raise StrategyUnavailable(f"model {request.model} {artifact.version} cannot be delivered now: {problems}{hint}")


def _warnings(request: ModelRequest, reasons: dict[str, str]) -> tuple[str, ...]:
    return tuple(f"{request.model}: strategy {strategy} is not used: {reason}" for strategy, reason in reasons.items())
