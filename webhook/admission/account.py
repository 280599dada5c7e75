"""The service account of the patched pod."""

from collections.abc import Iterable
from typing import Final

from webhook.kubernetes.patch import Operation, add
from webhook.kubernetes.pod import PodSpec
from webhook.model.refusals import Conflict
from webhook.settings import Settings
from webhook.strategies import STRATEGIES

_UNNAMED: Final = "default"
"""The service account of pods that name none: the API server sets it before it calls webhooks."""


def service_account(spec: PodSpec, asked: str | None, strategies: Iterable[str], settings: Settings) -> str:
    """The service account of a pod that gets models by these strategies. `asked` is the annotation's value."""
    own = _own(spec)
    return own if own != _UNNAMED else _wanted(asked, strategies, settings) or own


def account_operations(
    spec: PodSpec, asked: str | None, strategies: Iterable[str], settings: Settings
) -> list[Operation]:
    """The operations that set the account. Raises Conflict if the pod names another account than the annotation.

    Both fields are set, because later webhooks see the pod before the API server copies the first to the second.
    """
    own, wanted = _own(spec), _wanted(asked, strategies, settings)
    if own not in (_UNNAMED, wanted):
        if asked:
            raise Conflict(
                f"the pod's serviceAccountName is {own}, and the annotation {settings.annotation_prefix}/"
                f"service-account asks for {asked}; remove one of them"
            )
        return []
    if not wanted:
        return []
    fields = {"serviceAccountName": spec.service_account_name, "serviceAccount": spec.service_account}
    return [add(f"/spec/{field}", wanted) for field, value in fields.items() if value != wanted]


def _own(spec: PodSpec) -> str:
    return spec.service_account_name or spec.service_account or _UNNAMED


def _wanted(asked: str | None, strategies: Iterable[str], settings: Settings) -> str:
    """The account that the annotation asks for, else the default account if a strategy needs credentials."""
    if asked or not settings.defaults.service_account:
        return asked or ""
    needs = any(STRATEGIES[name].needs_credentials(settings.of_strategies[name]) for name in strategies)
    return settings.defaults.service_account if needs else ""
