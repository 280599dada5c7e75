"""The decision about a pod: the pure function `inject`, without I/O and clock.

The decision is `skipped` for a pod that asks for nothing, `injected` for a pod that gets its models, `unchanged` for a
pod that has them already (in a second pass), and `refused`, with a message for the pod's author, otherwise.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from webhook.admission import rules
from webhook.admission.account import service_account
from webhook.admission.choosing import Choice, allowed, choose
from webhook.admission.earlier import earlier_decision
from webhook.admission.patching import init_container_index, patch
from webhook.admission.planning import plan_pod
from webhook.admission.result import AdmissionResult, Decision
from webhook.annotations.injected import InjectedModel
from webhook.annotations.parsing import is_asking, parse, unknown
from webhook.catalog.resolution import Catalog, resolve_all
from webhook.inventory.inventory import Inventory
from webhook.kubernetes.pod import Pod, PodSpec
from webhook.model.refusals import Conflict, Refusal
from webhook.model.request import PodRequest
from webhook.settings import Settings
from webhook.strategies.strategy import Target

PROTECTED_NAMESPACES: Final = frozenset({"kube-system", "kube-node-lease"})
"""Namespaces whose pods are never changed, even if the webhook's configuration includes them."""
MOST_ATTACHMENTS: Final = 2000
"""Models times containers of a pod."""

_MIRROR_POD: Final = "kubernetes.io/config.mirror"  # the kubelet's annotation on the mirror pod of a static pod
_MOST_PARTS: Final = 20_000


def inject(
    pod: Pod, namespace: str, settings: Settings, catalog: Catalog, inventory: Inventory | None = None
) -> AdmissionResult:
    """Decide about a pod that is to be created in `namespace`. Raises LookupRequired, as the catalog does."""
    annotations = pod.metadata.annotations or {}
    if _MIRROR_POD in annotations:
        return AdmissionResult("skipped", "MirrorPod")
    if exemption := _exemption(pod.spec, namespace):
        warnings = (exemption.warning,) if is_asking(annotations, settings) else ()
        return AdmissionResult("skipped", exemption.reason, warnings=warnings)
    try:
        request = parse(annotations, settings, namespace)
        if request.models:
            target = Target(pod, namespace, init_container_index(pod.spec), inventory)
            return _inject(request, target, settings, catalog)
    except Refusal as refusal:
        return AdmissionResult("refused", refusal.reason, str(refusal), warnings=unknown(annotations, settings))
    return AdmissionResult("skipped", "OptedOut" if request.opted_out else "NotAnnotated", warnings=request.warnings)


def _inject(request: PodRequest, target: Target, settings: Settings, catalog: Catalog) -> AdmissionResult:
    """Decide about a pod that asks for models: rules, catalog, strategies, patch. Raises Refusal."""
    _check_size(target.pod.spec, len(request.models))
    candidates = [allowed(model, target, request.service_account, settings) for model in request.models]
    resolved = resolve_all(request.models, catalog)
    artifacts = [result.artifact for result in resolved]
    warnings = [*request.warnings]
    for result in resolved:
        warnings += result.warnings
    earlier = earlier_decision(request, artifacts, candidates, target, settings)
    if earlier:
        for asked, kept in zip(request.models, earlier.models, strict=True):
            catalog.check(asked, kept.version)  # the pod may be a copy of one from before the withdrawal
    if earlier and earlier.choices is None:
        return AdmissionResult("unchanged", "AlreadyInjected", warnings=tuple(warnings), models=earlier.models)
    choices = (earlier and earlier.choices) or choose(request.models, artifacts, candidates, target, settings)
    models = earlier.models if earlier else _models(choices)
    for choice in choices:
        warnings += choice.warnings
    planned = plan_pod(choices, target, settings)
    warnings += planned.plan.warnings
    if settings.rules and len(planned.strategies) > 1:
        account = service_account(target.pod.spec, request.service_account, planned.strategies, settings)
        for choice in choices:  # the strategies together may need another account than each alone
            rules.check(choice.delivery.request, choice.strategy, target.namespace, account, settings)
    operations = tuple(patch(target.pod, planned, request.service_account, models, settings))
    decision: tuple[Decision, str] = ("injected", "Injected") if operations else ("unchanged", "AlreadyInjected")
    return AdmissionResult(*decision, operations=operations, warnings=tuple(warnings), models=models)


def _models(choices: Sequence[Choice]) -> tuple[InjectedModel, ...]:
    return tuple(
        [InjectedModel.of(delivery.request.version, strategy, delivery.artifact) for strategy, delivery, _ in choices]
    )


class _Exemption(NamedTuple):
    reason: str
    warning: str


def _exemption(spec: PodSpec, namespace: str) -> _Exemption | None:
    if namespace in PROTECTED_NAMESPACES:
        return _Exemption("ProtectedNamespace", f"no model is injected: pods in {namespace} are never changed")
    if spec.is_windows:
        return _Exemption("WindowsPod", "no model is injected: no strategy supports Windows pods")
    return None


def _check_size(spec: PodSpec, models: int) -> None:
    """Reject oversized pods early, so that they do not delay other requests."""
    containers = (*(spec.containers or ()), *(spec.init_containers or ()))
    parts = sum(len(container.env or ()) + len(container.volume_mounts or ()) for container in containers)
    if len(containers) * models > MOST_ATTACHMENTS or parts + len(spec.volumes or ()) > _MOST_PARTS:
        raise Conflict(
            f"the pod is too large for injection: {models} models in {len(containers)} containers with {parts} mounts "
            f"and variables; at most {MOST_ATTACHMENTS} models times containers, and {_MOST_PARTS} of the others"
        )
