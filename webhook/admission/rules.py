"""Who may use what: the settings' rules, of which the first that matches decides."""

from fnmatch import fnmatchcase

from webhook.model.refusals import Refusal
from webhook.model.request import ModelRequest
from webhook.settings import Rule, Settings


class Forbidden(Refusal):
    """A rule of the settings forbids it."""

    reason = "Forbidden"


def check(request: ModelRequest, strategy: str, namespace: str, service_account: str, settings: Settings) -> None:
    """Raise Forbidden where a rule denies a pod of this namespace, under this account, this model by this strategy."""
    for index, rule in enumerate(settings.rules):
        if _matches(rule, request, strategy, namespace, service_account):
            if not rule.allow:
                hint = f"; {rule.message}" if rule.message else ""
                raise Forbidden(
                    f"model {request.model}, by {strategy} and as service account {service_account}, is not for "
                    f"namespace {namespace}: rules[{index}] of this installation forbids it{hint}"
                )
            return


def _matches(rule: Rule, request: ModelRequest, strategy: str, namespace: str, service_account: str) -> bool:
    values = (
        (namespace, rule.namespaces),
        (request.model, rule.models),
        (strategy, rule.strategies),
        (service_account, rule.service_accounts),
    )
    return all(any(fnmatchcase(value, pattern) for pattern in patterns) for value, patterns in values)
