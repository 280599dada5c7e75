"""Pods as they come, and what injection makes of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from tests.support.known import Known, known_settings
from tests.support.reviews import apply
from webhook.admission.decide import inject
from webhook.admission.result import AdmissionResult
from webhook.catalog.lookup.exact import ExactCatalog
from webhook.kubernetes.pod import decode
from webhook.settings import Settings

JSON = dict[str, Any]
PREFIX = "model-injector.io"


@dataclass(frozen=True)
class Injector:
    """`inject`, from JSON to JSON, under some settings."""

    settings: Settings

    def decide(self, pod: JSON, namespace: str = "apps") -> AdmissionResult:
        """What is decided about a pod."""
        return inject(decode(msgspec.json.encode(pod)), namespace, self.settings, ExactCatalog(self.settings))

    def __call__(self, pod: JSON) -> JSON:
        """The pod as the API server would store it; it has to be admitted."""
        injection = self.decide(pod)
        assert injection.decision in {"injected", "unchanged"}, injection
        return apply(pod, injection.operations)

    def refusal(self, pod: JSON) -> str:
        """Why a pod is refused, which it has to be."""
        injection = self.decide(pod)
        assert injection.decision == "refused", injection
        assert not injection.operations
        return injection.message


class AliasedCatalog:
    """Settings, and a catalog with the models, whose alias `champion` of my-model can move."""

    def __init__(self, models: Mapping[str, tuple[str, ...]], **settings: Any) -> None:
        self.models, self.settings = models, known_settings(**settings)
        self.catalog = Known(self.settings, models, {"my-model": {"champion": "1.2.3"}})

    def champion(self, version: str) -> None:
        """Move the alias."""
        self.catalog.tell(self.models, {"my-model": {"champion": version}})


@pytest.fixture(scope="session")
def configured() -> Callable[..., Injector]:
    """An injector with settings over those of the guide's example."""

    def configure(**settings: Any) -> Injector:
        return Injector(Settings(**{"bucket": "my-ml-bucket", "prefix": "model-artifacts", **settings}))

    return configure


@pytest.fixture(scope="session")
def injected(configured: Callable[..., Injector]) -> Injector:
    return configured()


def annotated(spec: Mapping[str, Any] | None = None, **annotations: str) -> JSON:
    """A pod with annotations of ours, `mount_path` standing for `mount-path`; `spec` adds to one app container."""
    names = {f"{PREFIX}/{name.replace('_', '-')}": value for name, value in annotations.items()}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "app-", "annotations": names},
        "spec": {"containers": [{"name": "app", "image": "app:1"}], **(spec or {})},
    }


def asking(spec: Mapping[str, Any] | None = None, **annotations: str) -> JSON:
    """A pod that asks for my-model 1.2.3, and what else `annotations` say."""
    return annotated(spec, **{"model": "my-model", "version": "1.2.3", **annotations})
