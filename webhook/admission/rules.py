"""Checking the rules of the settings. The first rule that matches decides."""

from functools import lru_cache

from webhook.fields.globs import matches
from webhook.model.refusals import Refusal
from webhook.model.request import ModelRequest
from webhook.settings import Rule, Settings


class Forbidden(Refusal):
    """A rule of the settings forbids the model, the strategy or the service account."""

    reason = "Forbidden"


def check(request: ModelRequest, strategy: str, namespace: str, service_account: str, settings: Settings) -> None:
    """Raise Forbidden if a rule denies pods of this namespace and account this model by this strategy."""
    index = _deciding(request.model, strategy, namespace, service_account, settings) if settings.rules else None
    if index is not None and not settings.rules[index].allow:
        hint = settings.rules[index].message
        raise Forbidden(
            f"namespace {namespace} may not use model {request.model} by {strategy} as service account "
            f"{service_account}: rules[{index}] of this installation forbids it{f'; {hint}' if hint else ''}"
        )


@lru_cache(maxsize=1024)
def _deciding(model: str, strategy: str, namespace: str, service_account: str, settings: Settings) -> int | None:
    """The index of the first rule that matches. Cached, because it is the same for all pods of a workload."""
    matching = (
        index
        for index, rule in enumerate(settings.rules)
        if _matches(rule, model, strategy, namespace, service_account)
    )
    return next(matching, None)


def _matches(rule: Rule, model: str, strategy: str, namespace: str, service_account: str) -> bool:
    values = (
        (namespace, rule.namespaces),
        (model, rule.models),
        (strategy, rule.strategies),
        (service_account, rule.service_accounts),
    )
    return all(matches(value, patterns) for value, patterns in values)
