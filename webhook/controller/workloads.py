"""Workloads that follow a version, as they are observed: Deployments, StatefulSets, DaemonSets and Argo Rollouts."""

from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar, Final

import msgspec

from webhook.controller.observed import Condition, Observed
from webhook.controller.steps import ARGO_ROLLOUTS, DAEMON_SETS, DEPLOYMENTS, STATEFUL_SETS, Resource
from webhook.kubernetes.pod import Pod, decode
from webhook.kubernetes.workload import ClaimTemplate, with_claims

_NULL: Final = msgspec.Raw(b"null")
_ROLLING, _UNAVAILABLE, _FAILED = "it is rolling out", "not all of its replicas are available", "its rollout has failed"


class _RollingUpdate(msgspec.Struct, frozen=True):
    partition: int = 0


class _UpdateStrategy(msgspec.Struct, frozen=True, rename="camel"):
    type: str = "RollingUpdate"
    rolling_update: _RollingUpdate | None = None


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    replicas: int | None = None
    paused: bool = False
    template: msgspec.Raw = _NULL
    update_strategy: _UpdateStrategy = _UpdateStrategy()
    pod_management_policy: str = ""
    volume_claim_templates: tuple[ClaimTemplate, ...] | None = None

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "template", self.template.copy())  # not a view of the whole response


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    observed_generation: int | str = 0
    replicas: int = 0
    updated_replicas: int = 0
    available_replicas: int = 0
    conditions: tuple[Condition, ...] | None = None
    desired_number_scheduled: int = 0
    updated_number_scheduled: int = 0
    number_available: int = 0
    phase: str = ""
    message: str = ""
    abort: bool = False
    stable_hash: str = msgspec.field(default="", name="stableRS")
    current_pod_hash: str = ""


class Workload(Observed, frozen=True, dict=True):
    """A workload of any of these kinds. The fields that its kind lacks have their defaults."""

    resource: ClassVar[Resource]
    spec: _Spec = _Spec()
    status: _Status = _Status()

    @cached_property
    def template(self) -> Pod:
        """The pod template, with the volumes of a StatefulSet's claims. Raises InvalidObject, also if there is none, as
        in an Argo Rollout with a workloadRef."""
        return with_claims(decode(self.spec.template), self.spec.volume_claim_templates)

    @property
    def template_annotations(self) -> Mapping[str, str]:
        """The annotations of the pod template. Raises InvalidObject."""
        return self.template.metadata.annotations or {}

    @property
    def is_paused(self) -> bool:
        """Whether somebody has paused it."""
        return self.spec.paused

    @property
    def wanted(self) -> int:
        """The number of replicas that it should have."""
        return 1 if self.spec.replicas is None else self.spec.replicas

    @property
    def obstacle(self) -> str:
        """Why a changed template would never reach its pods; empty if it does."""
        return ""

    @property
    def failure(self) -> str:
        """Why its own controller has given up the rollout; empty if it has not."""
        return ""

    @property
    def hint(self) -> str:
        """What a person has to do after an undone rollout; empty if nothing."""
        return ""

    @property
    def unsettled(self) -> str:
        """Why it is not completely rolled out and available; empty if it is."""
        if not self._is_observed:
            return _ROLLING
        updated, present, available = self._counts
        if self._stopped:
            return _FAILED
        if updated < self._to_update or present != self.wanted:
            return _ROLLING
        return _UNAVAILABLE if available < self.wanted else ""

    @property
    def message(self) -> str:
        """What it says itself about its state, for people."""
        updated, _, available = self._counts
        counts = f"{updated} of {self.wanted} replicas are updated, {available} are available"
        own = self._said()
        return f"{counts}; {own}" if own else counts

    def _said(self) -> str:
        conditions = self.status.conditions or ()
        failed = [each for each in conditions if (each.type, each.status) == ("ReplicaFailure", "True")]
        failed += [each for each in conditions if each.type in ("Progressing", "Available") and each.status == "False"]
        return failed[0].message if failed else self.status.message

    @property
    def _stopped(self) -> bool:
        conditions = self.status.conditions or ()
        return any((each.type, each.status) == ("Progressing", "False") for each in conditions)

    @property
    def _is_observed(self) -> bool:
        return str(self.status.observed_generation) == str(self.metadata.generation)

    @property
    def _to_update(self) -> int:
        """How many replicas get a changed template."""
        return self.wanted

    @property
    def _counts(self) -> tuple[int, int, int]:
        """How many replicas are updated, present, and available."""
        status = self.status
        return status.updated_replicas, status.replicas, status.available_replicas


class Deployment(Workload, frozen=True, dict=True):
    """An apps/v1 Deployment."""

    resource = DEPLOYMENTS


class StatefulSet(Workload, frozen=True, dict=True):
    """An apps/v1 StatefulSet."""

    resource = STATEFUL_SETS

    @property
    def obstacle(self) -> str:
        """Its update strategy may be OnDelete."""
        return _on_delete(self.spec)

    @property
    def hint(self) -> str:
        """Kubernetes waits for a pod that is not ready before it replaces it, unless pods are managed in parallel."""
        is_ordered = self.spec.pod_management_policy != "Parallel"
        return "delete its pod that is not ready: a StatefulSet does not replace it by itself" if is_ordered else ""

    @property
    def _to_update(self) -> int:
        rolling = self.spec.update_strategy.rolling_update
        return max(self.wanted - rolling.partition, 0) if rolling else self.wanted


class DaemonSet(Workload, frozen=True, dict=True):
    """An apps/v1 DaemonSet."""

    resource = DAEMON_SETS

    @property
    def wanted(self) -> int:
        """The number of nodes that should run it."""
        return self.status.desired_number_scheduled

    @property
    def obstacle(self) -> str:
        """Its update strategy may be OnDelete."""
        return _on_delete(self.spec)

    @property
    def _counts(self) -> tuple[int, int, int]:
        status = self.status
        return status.updated_number_scheduled, self.wanted, status.number_available


class ArgoRollout(Workload, frozen=True, dict=True):
    """An argoproj.io/v1alpha1 Rollout. Its own steps say how a changed template reaches its pods."""

    resource = ARGO_ROLLOUTS

    @property
    def failure(self) -> str:
        """It was aborted, by its analysis or a person, or made no progress within its own deadline."""
        if not self._is_observed:
            return ""
        if self.status.abort:
            return f"the rollout was aborted: {self.status.message}"
        return f"the rollout is degraded: {self.status.message}" if self.status.phase == "Degraded" else ""

    @property
    def unsettled(self) -> str:
        """Why not all of its steps are done."""
        if self.failure:
            return _FAILED
        status = self.status
        is_done = status.phase == "Healthy" and status.stable_hash == status.current_pod_hash
        return "" if self._is_observed and is_done else _ROLLING


WORKLOADS: Final = (Deployment, StatefulSet, DaemonSet, ArgoRollout)
"""The kinds that can follow a version."""


def _on_delete(spec: _Spec) -> str:
    is_manual = spec.update_strategy.type == "OnDelete"
    return "its update strategy is OnDelete, so it does not replace pods" if is_manual else ""
