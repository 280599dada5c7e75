"""What the cluster has ready for models, as of the last reading."""

import msgspec

READY = "ready"
"""The value of a claim's label `state` once its volume contains the whole model."""


class Claim(msgspec.Struct, frozen=True):
    """A PersistentVolumeClaim with the label `model`."""

    state: str
    """The label `state`; empty if the claim has none."""
    phase: str
    """`Pending`, `Bound` or `Lost`."""
    volume: str = ""
    """The PersistentVolume that the claim names. Empty while a provisioner has not created it, which may wait for a
    pod: such a claim can be ready while it is pending, if it is a clone of a volume that has the model."""
    is_deleted: bool = False
    """Whether its deletion was requested. New pods cannot mount it."""


class Inventory(msgspec.Struct, frozen=True):
    """Claims of models, CSI drivers, and the version of the cluster."""

    claims: dict[tuple[str, str], Claim]
    """By namespace and name."""
    drivers: frozenset[str]
    """The names of the CSIDriver objects."""
    version: str
    """The API server's version, such as `1.36`."""

    def claim_problem(self, namespace: str, name: str) -> str | None:
        """Why pods cannot mount a claim now, or None."""
        claim = self.claims.get((namespace, name))
        if claim is None:
            return f"namespace {namespace} has no claim {name}"
        if claim.is_deleted:
            return f"the claim {name} is being deleted"
        if claim.phase == "Lost":
            return f"the claim {name} has lost its volume"
        if claim.state != READY:
            return f"the claim {name} is not ready: its state is {claim.state or 'not set'}"
        if claim.phase == "Pending" and claim.volume:
            return f"the claim {name} is not bound to its volume {claim.volume}"
        return None

    def driver_problem(self, driver: str) -> str | None:
        """Why pods cannot mount volumes of a CSI driver, or None."""
        return None if driver in self.drivers else f"the cluster has no CSI driver {driver}"
