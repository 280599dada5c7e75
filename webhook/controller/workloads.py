"""Workloads that a new version restarts, with the fields that tell how their rollout is going."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec

from webhook.controller.observed import Condition, Observed
from webhook.controller.steps import ARGO_ROLLOUTS, DAEMON_SETS, DEPLOYMENTS, STATEFUL_SETS, Resource

_ON_DELETE: Final = "its updateStrategy is OnDelete, with which only who deletes its pods restarts them"


class _TemplateMetadata(msgspec.Struct, frozen=True):
    annotations: Any = None
    """Of any type, because the API server does not check the template of an Argo Rollout."""


class _Template(msgspec.Struct, frozen=True):
    metadata: _TemplateMetadata | None = None


class _RollingUpdate(msgspec.Struct, frozen=True):
    partition: int | None = None


class _UpdateStrategy(msgspec.Struct, frozen=True, rename="camel"):
    type: str = "RollingUpdate"
    rolling_update: _RollingUpdate | None = None


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    template: _Template = _Template()
    replicas: int | None = None
    paused: bool = False
    update_strategy: _UpdateStrategy = _UpdateStrategy()


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    observed_generation: int | str = 0
    """A number; of an Argo Rollout, the same as text."""
    replicas: int = 0
    updated_replicas: int = 0
    available_replicas: int = 0
    desired_number_scheduled: int = 0
    updated_number_scheduled: int = 0
    number_available: int = 0
    conditions: tuple[Condition, ...] | None = None
    phase: str = ""
    message: str = ""
    abort: bool = False


class Workload(Observed, frozen=True):
    """What the kinds have in common. The defaults fit the status of a Deployment."""

    resource: ClassVar[Resource]
    spec: _Spec = _Spec()
    status: _Status = _Status()

    @property
    def template_annotations(self) -> Mapping[str, str]:
        """The annotations of its pod template."""
        metadata = self.spec.template.metadata
        found = metadata.annotations if metadata else None
        return {key: text for key, text in found.items() if isinstance(text, str)} if isinstance(found, dict) else {}

    @property
    def is_paused(self) -> bool:
        """Whether somebody has paused its rollouts."""
        return self.spec.paused

    @property
    def is_scaled_to_zero(self) -> bool:
        """Whether it is to have no pods."""
        return self._replicas == 0

    @property
    def hold(self) -> str:
        """Why a rollout of it cannot go on before somebody changes that; empty if it can."""
        if self.is_paused:
            return "it is paused"
        return "it is scaled to zero, so nothing shows whether the version works" if self.is_scaled_to_zero else ""

    @property
    def is_observed(self) -> bool:
        """Whether its status is about the present spec."""
        observed = str(self.status.observed_generation)
        return observed.isdigit() and int(observed) >= self.metadata.generation

    @property
    def is_available(self) -> bool:
        """Whether all of its pods are of the present template, and available."""
        return self.is_observed and self._has_all_pods

    @property
    def _has_all_pods(self) -> bool:
        status = self.status
        return self._replicas == status.replicas == status.updated_replicas == status.available_replicas

    @property
    def obstacle(self) -> str:
        """Why a change of its template restarts no pods; empty if it does."""
        return ""

    @property
    def failure(self) -> str:
        """Why its rollout has failed for good; empty if it may succeed yet."""
        return ""

    @property
    def has_deadline_of_its_own(self) -> bool:
        """Whether its own controller decides how long the rollout may take."""
        return False

    @property
    def message(self) -> str:
        """Why it is not available, in its own words."""
        status = self.status
        return f"{status.updated_replicas} of {self._replicas} pods are updated, {status.available_replicas} available"

    @property
    def _replicas(self) -> int:
        return 1 if self.spec.replicas is None else self.spec.replicas


class Deployment(Workload, frozen=True):
    """An apps/v1 Deployment."""

    resource = DEPLOYMENTS

    @property
    def message(self) -> str:
        """The message of the condition that tells most: why pods are not created, or why they are not available."""
        conditions = {each.type: each for each in self.status.conditions or ()}
        for kind, status in (("ReplicaFailure", "True"), ("Progressing", "False"), ("Available", "False")):
            if (found := conditions.get(kind)) and found.status == status:
                return f"{found.reason}: {found.message}"
        return super().message


class StatefulSet(Workload, frozen=True):
    """An apps/v1 StatefulSet."""

    resource = STATEFUL_SETS

    @property
    def _has_all_pods(self) -> bool:
        rolling, status = self.spec.update_strategy.rolling_update, self.status
        kept = (rolling and rolling.partition) or 0  # pods that keep the old template, as the partition says
        updated = status.updated_replicas >= self._replicas - kept
        return updated and self._replicas == status.replicas == status.available_replicas

    @property
    def obstacle(self) -> str:
        """OnDelete."""
        return _ON_DELETE if self.spec.update_strategy.type == "OnDelete" else ""

    @property
    def message(self) -> str:
        """Numbers, and what a StatefulSet does not do by itself."""
        return (
            f"{super().message}; a StatefulSet replaces a pod that never became ready only after somebody deletes that"
        )


class DaemonSet(Workload, frozen=True):
    """An apps/v1 DaemonSet."""

    resource = DAEMON_SETS

    @property
    def _has_all_pods(self) -> bool:
        status = self.status
        return status.desired_number_scheduled == status.updated_number_scheduled == status.number_available

    @property
    def _replicas(self) -> int:
        return self.status.desired_number_scheduled

    @property
    def obstacle(self) -> str:
        """OnDelete."""
        return _ON_DELETE if self.spec.update_strategy.type == "OnDelete" else ""

    @property
    def message(self) -> str:
        """The numbers of pods."""
        status = self.status
        return (
            f"{status.updated_number_scheduled} of {status.desired_number_scheduled} pods are updated, "
            f"{status.number_available} available"
        )


class ArgoRollout(Workload, frozen=True):
    """An Argo Rollout. Its spec says which share of the pods gets a new template, and when. Its controller judges."""

    resource = ARGO_ROLLOUTS

    @property
    def _has_all_pods(self) -> bool:
        return self.status.phase == "Healthy" and not self.status.abort

    @property
    def failure(self) -> str:
        """Aborted, or degraded: it was not available within its own deadline, or an analysis has failed."""
        has_failed = self.is_observed and (self.status.abort or self.status.phase == "Degraded")
        return self.message if has_failed else ""

    @property
    def has_deadline_of_its_own(self) -> bool:
        """Its steps may take days; `progressDeadlineSeconds` applies to each of them.

        Also while its status is older than the spec: an autoscaler or a person may change that at a step.
        """
        return self.status.phase in ("Progressing", "Paused")

    @property
    def message(self) -> str:
        """Its phase and message."""
        return ": ".join(filter(None, (self.status.phase or "it has no status", self.status.message)))


KINDS: Final[tuple[type[Workload], ...]] = (Deployment, StatefulSet, DaemonSet, ArgoRollout)
