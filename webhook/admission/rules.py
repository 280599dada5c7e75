"""Who may use what: the settings' rules, of which the first that fits decides."""

from fnmatch import fnmatchcase

from webhook.errors import Forbidden
from webhook.model.request import ModelRequest
from webhook.settings import Rule, Settings


def check(request: ModelRequest, namespace: str, service_account: str, settings: Settings) -> None:
    """Raise Forbidden where a rule keeps a pod of this namespace, under this account, from this model."""
    for index, rule in enumerate(settings.rules):
        if _fits(rule, request, namespace, service_account):
            if not rule.allow:
                hint = f"; {rule.message}" if rule.message else ""
                raise Forbidden(
                    f"model {request.model}, by {request.strategy} and as service account {service_account}, is not "
                    f"for namespace {namespace}: rules[{index}] of this installation forbids it{hint}"
                )
            return


def _fits(rule: Rule, request: ModelRequest, namespace: str, service_account: str) -> bool:
    asked = (
        (namespace, rule.namespaces),
        (request.model, rule.models),
        (request.strategy, rule.strategies),
        (service_account, rule.service_accounts),
    )
    return all(any(fnmatchcase(name, pattern) for pattern in patterns) for name, patterns in asked)
