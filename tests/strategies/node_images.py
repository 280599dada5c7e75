"""Models and manifests for the tests of the strategy node-image."""

import json
import re
from collections.abc import Mapping
from typing import Any

from tests.admission.conftest import JSON, Injector
from webhook.model.artifact import Artifact
from webhook.model.source import Source
from webhook.settings import Settings
from webhook.strategies.node_image import STRATEGY, NodeImageSettings
from webhook.strategies.strategy import ManifestRequest, Manifests

LABEL = "model-injector.io/node-image"
HERE = {LABEL: "my-model-1.2.3"}
SOURCE = Source(bucket="my-ml-bucket", prefix="model-artifacts", region="eu-west-1")
MODEL = Artifact("my-model", "1.2.3", SOURCE, files=2, bytes=9 << 30, digest="ab" * 32)
LLAMA = Artifact("my-org/llama", "3.1.0", SOURCE)
ALL_IN_ONE: JSON = {"nodeSelector": {LABEL: "november"}}


def manifests(*artifacts: Artifact, namespaces: tuple[str, ...] = ("apps",), **settings: Any) -> Manifests:
    assert STRATEGY.manifests
    request = ManifestRequest(artifacts, namespaces, "", "model-injector.io", Settings(bucket="b12").fetch)
    return STRATEGY.manifests(request, NodeImageSettings(**settings))


def injector_with(node_image: JSON) -> Injector:
    settings: JSON = {"bucket": "my-ml-bucket", "prefix": "model-artifacts", "strategies": {"node-image": node_image}}
    return Injector(Settings(**settings))


def packer_variables(text: str) -> Mapping[str, Any]:
    """The variables with defaults, which are JSON; the template declares each that it uses."""
    declared = re.findall(r'^variable "(\w+)" \{\n(.*?)^\}', text, re.MULTILINE | re.DOTALL)
    assert {name for name, _ in declared} >= set(re.findall(r"\bvar\.(\w+)", text))
    assert text.count("{") == text.count("}")
    defaults = {name: re.search(r"  default +=(.*)", body, re.DOTALL) for name, body in declared}
    return {name: json.loads(found[1]) for name, found in defaults.items() if found}
