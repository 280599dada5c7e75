"""A cluster in memory with the decisions of loads."""

from collections.abc import Sequence
from typing import Any

from tests.controller.catalogs import GIB, catalog, loading, version
from tests.controller.memory import CLAIM, JOB, PREFIX, MemoryCluster, namespace
from webhook.controller.loads import Outcome, decide
from webhook.controller.published import Published, Version
from webhook.controller.steps import Step
from webhook.model.objects import claim_name, job_name
from webhook.settings import Settings

SETTINGS = loading()
ALONE = loading(shared_volume={"sharing": "none"})
MOUNT = loading({"strategy": "s3-mount"})
PUSH = loading({"strategy": "oci-image", "image": "registry.example.com/models/{model}"})
ONE = version(SETTINGS)
NAME, JOB_NAME = claim_name("shared-volume", ONE.artifact), job_name("shared-volume", ONE.artifact)
HOME = "model-injector"
STATE, PROBLEM = f"{PREFIX}/state", f"{PREFIX}/problem"
CLAIMED = 13 * GIB
"""What a claim requests for a model of 10 GiB."""
SHARED = "trident.netapp.io/shareToNamespace"


class Controlled:
    """A cluster, and the controller's decisions about it."""

    def __init__(
        self, settings: Settings, *versions: Version, namespaces: Sequence[str] = ("team-a", "team-b")
    ) -> None:
        self.settings, self.cluster, self.published = settings, MemoryCluster(), catalog(*versions)
        for name in namespaces:
            self.cluster.create(namespace(name))
        self.cluster.create(namespace(HOME))

    def decide(self) -> Outcome:
        return decide(self.published, self.cluster.observed(), self.settings)

    def step(self) -> list[Step]:
        """Take the steps of one decision."""
        steps = [step for group in self.decide().steps for step in group]
        for step in steps:
            assert self.cluster.take(step), step
        return steps

    def settle(self, published: Published | None = None) -> Outcome:
        """Decide until no step is left."""
        self.published = published or self.published
        for _ in range(20):
            if not self.step():
                return self.decide()
        raise AssertionError(f"it does not end: {self.decide().steps}")

    def load(self) -> Outcome:
        """Settle, and let all Jobs complete, until nothing changes."""
        self.settle()
        for name in self.cluster.names(JOB):
            self.cluster.finish(name)
        return self.settle()

    def state(self, namespace: str = HOME, of: Version = ONE, strategy: str = "shared-volume") -> str | None:
        claim = self.cluster.objects.get((CLAIM, namespace, claim_name(strategy, of.artifact)))
        return str(claim["metadata"]["labels"][STATE]) if claim else None

    def annotation(self, name: str, namespace: str = HOME, kind: str = CLAIM) -> str | None:
        found = self.cluster.objects[kind, namespace, NAME if kind == CLAIM else JOB_NAME]
        value: str | None = found["metadata"]["annotations"].get(name)
        return value


def kinds(steps: Sequence[Step]) -> list[tuple[Any, ...]]:
    return [(type(step).__name__, *step.target[:2]) for step in steps]
