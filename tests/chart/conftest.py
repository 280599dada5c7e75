"""The chart, rendered by real helm."""

import json
import os
import re
import subprocess
from collections.abc import Hashable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.programs import helms

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "model-injector"
NAMESPACE = "model-injector"
JSON = dict[str, Any]
BUCKET = "my-ml-bucket"
NEWEST_KUBERNETES = "1.37"
"""The version that the chart is rendered for, where a test names none."""


class RenderError(Exception):
    """Helm's own words on why it renders nothing."""


class Rendered(dict[tuple[str, str], JSON]):
    """Objects by kind and name."""

    def one(self, kind: str) -> JSON:
        """The only object of its kind, apart from hooks and those of other components."""
        others = self.controller.keys() | self.node_cache.keys()
        found = [each for key, each in self.items() if key[0] == kind and key not in others and not is_hook(each)]
        assert len(found) == 1, (kind, list(self))
        return found[0]

    @property
    def controller(self) -> dict[tuple[str, str], JSON]:
        """The controller's objects, whose names end in -controller, or -controller-jobs."""
        return {key: each for key, each in self.items() if re.search("-controller(-jobs)?$", key[1])}

    def of_controller(self, kind: str) -> JSON:
        """The controller's only object of a kind."""
        (found,) = [each for (found, _), each in self.controller.items() if found == kind]
        return found

    @property
    def node_cache(self) -> dict[tuple[str, str], JSON]:
        """The objects of the node cache: those whose names contain -node-cache, and the CSIDriver."""
        return {key: each for key, each in self.items() if key[0] == "CSIDriver" or "-node-cache" in key[1]}

    def of_node_cache(self, kind: str) -> JSON:
        """The node cache's only object of a kind."""
        (found,) = [each for (found, _), each in self.node_cache.items() if found == kind]
        return found

    @property
    def pod(self) -> JSON:
        """The pod template of the Deployment."""
        template: JSON = self.one("Deployment")["spec"]["template"]
        return template

    @property
    def container(self) -> JSON:
        """The webhook's container."""
        found: JSON = self.pod["spec"]["containers"][0]
        return found

    @property
    def entry(self) -> JSON:
        """The webhook configuration's entry for pods."""
        found: JSON = self.one("MutatingWebhookConfiguration")["webhooks"][0]
        return found

    @property
    def workloads_entry(self) -> JSON:
        """Its entry for workloads of Kubernetes."""
        found: JSON = self.one("MutatingWebhookConfiguration")["webhooks"][1]
        return found

    @property
    def kinds_entry(self) -> JSON:
        """Its entry for the kinds that the platform names."""
        (_, _, found) = self.one("MutatingWebhookConfiguration")["webhooks"]
        assert isinstance(found, dict)
        return found

    @property
    def settings_file(self) -> str:
        """The file that the webhook reads."""
        volumes = {each["name"]: each for each in self.pod["spec"]["volumes"]}
        text: str = self["ConfigMap", volumes["settings"]["configMap"]["name"]]["data"]["settings.yaml"]
        return text

    @property
    def settings(self) -> JSON:
        """What stands in it."""
        found: JSON = yaml.safe_load(self.settings_file)
        return found


def is_hook(content: JSON) -> bool:
    return "helm.sh/hook" in content["metadata"].get("annotations", {})


def helm(*arguments: str | Path, which: str = "newest", values: Mapping[str, Any] | None = None) -> str:
    """Run helm; gives what it prints. Raises RenderError with what it complains about."""
    command = [helms()[which], *arguments, *(["--values", "-"] if values is not None else [])]
    env = {**os.environ, "GOGC": "off"}  # it ends before collecting its garbage would be worth the time
    done = subprocess.run(
        command, input=json.dumps(values), capture_output=True, text=True, timeout=60, check=False, env=env
    )
    if done.returncode:
        raise RenderError(done.stderr + done.stdout)
    return done.stdout


@cache
def template(*arguments: str | Path, which: str, values: str) -> str:
    """What helm renders for values in JSON. Charts do not change while tests run, so it is remembered."""
    return helm("template", *arguments, which=which, values=json.loads(values))


def with_bucket(values: Mapping[str, Any] | None = None) -> JSON:
    """Values on top of the one that the chart cannot do without."""
    values = values or {}
    config = values.get("config", {})
    return {**values, "config": {"bucket": BUCKET, **config} if isinstance(config, dict) else config}


def render(
    values: Mapping[str, Any] | None = None,
    *,
    which: str = "newest",
    release: str = "model-injector",
    namespace: str = NAMESPACE,
    kubernetes: str = NEWEST_KUBERNETES,
    chart: Path = CHART,
    anew: bool = False,
) -> Rendered:
    """The chart's objects for some values, which come on top of a bucket. `anew` asks helm again."""
    run = template.__wrapped__ if anew else template
    options = ("--namespace", namespace, "--kube-version", kubernetes)
    text = run(release, chart, *options, which=which, values=json.dumps(with_bucket(values)))
    found = [each for each in yaml.load_all(text, UniqueKeys) if each]
    rendered = Rendered({(each["kind"], each["metadata"]["name"]): each for each in found})
    assert len(rendered) == len(found)
    return rendered


class UniqueKeys(yaml.CSafeLoader):
    """YAML in which a key may stand once, as it should in what goes to a cluster."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """A mapping whose keys are all different."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        assert len(keys) == len(set(keys)), keys
        return super().construct_mapping(node, deep)


@pytest.fixture(scope="session")
def default() -> Rendered:
    """What the chart makes of a bucket, and nothing else."""
    return render()
