"""The service account that a pod runs as in the end."""

from collections.abc import Iterable, Iterator
from typing import Final

from webhook.kubernetes.patch import Operation, add
from webhook.kubernetes.pod import PodSpec
from webhook.model.refusals import Conflict
from webhook.settings import Settings
from webhook.strategies import STRATEGIES

_UNNAMED: Final = "default"
"""The service account that the API server has filled in, before any webhook is asked, where a pod names none."""


def service_account(spec: PodSpec, asked: str | None, strategies: Iterable[str], settings: Settings) -> str:
    """The service account of a pod that gets models by these strategies; `asked` is its annotation."""
    own = _own(spec)
    return own if own != _UNNAMED else _wanted(asked, strategies, settings) or own


def account_operations(
    spec: PodSpec, asked: str | None, strategies: Iterable[str], settings: Settings
) -> Iterator[Operation]:
    """The operations that set the account: both fields, because later webhooks see the pod before the API server makes
    the second follow the first. Raises Conflict where the pod has another account than the annotation asks for."""
    own, wanted = _own(spec), _wanted(asked, strategies, settings)
    if own not in (_UNNAMED, wanted):
        if asked:
            raise Conflict(
                f"the pod's serviceAccountName is {own}, the annotation {settings.annotation_prefix}/service-account "
                f"asks for {asked}; keep one of them"
            )
        return
    fields = {"serviceAccountName": spec.service_account_name, "serviceAccount": spec.service_account}
    yield from (add(f"/spec/{field}", wanted) for field, value in fields.items() if wanted and value != wanted)


def _own(spec: PodSpec) -> str:
    return spec.service_account_name or spec.service_account or _UNNAMED


def _wanted(asked: str | None, strategies: Iterable[str], settings: Settings) -> str:
    """The account that the annotation asks for, else the default one where a strategy needs credentials."""
    if asked or not settings.defaults.service_account:
        return asked or ""
    needs = any(STRATEGIES[name].needs_credentials(settings.of_strategies[name]) for name in strategies)
    return settings.defaults.service_account if needs else ""
