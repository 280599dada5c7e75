"""The pods that benchmarks create and send for review."""

from pathlib import Path
from typing import Final

import yaml

from tests.support.reviews import JSON, pod_of

ROOT: Final = Path(__file__).parents[2]
VARIABLES: Final = 49
"""Of the usual pod: these environment variables make a review of 5 kB of it."""


def example_pod(version: str, variables: int = 0) -> JSON:
    """The pod of examples/deployment.yaml, which asks for a version, as its ReplicaSet creates it."""
    pod = pod_of(yaml.safe_load((ROOT / "examples" / "deployment.yaml").read_text()))
    pod["metadata"]["annotations"]["model-injector.io/version"] = version
    (app,) = pod["spec"]["containers"]
    app["env"] = [
        {"name": f"SETTING_{number}", "value": "a value that some application needs"} for number in range(variables)
    ]
    return pod


def smallest_pod(version: str) -> JSON:
    """A pod with nothing but what an API server and the webhook require."""
    asking = {"model-injector.io/model": "my-model", "model-injector.io/version": version}
    metadata = {"generateName": "smallest-", "annotations": asking}
    spec = {"containers": [{"name": "app", "image": "never-pulled"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
