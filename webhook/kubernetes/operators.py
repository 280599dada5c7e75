"""Kinds of operators whose pods have annotations that stand elsewhere in the object than in a pod template.

Everything else about these kinds is found by its shape. A kind needs an entry if its controller copies annotations from
another place to its pods, or if it makes pods whose containers are not in the object.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from jsonpointer import resolve_pointer

from webhook.kubernetes.unstructured import Unstructured


class Source(NamedTuple):
    """Where the annotations of some pods of a kind come from."""

    pods: re.Pattern[str]
    """The JSON Pointers of the pod templates, of the pod specs, or of what the controller makes pods of."""
    places: tuple[str, ...]
    r"""The JSON Pointers of the mappings whose `annotations` the pods get. Later ones override. `\1` is a group of
    `pods`."""
    container: str = ""
    """The name of the container that the controller makes if there is no template, or the JSON Pointer of that name.
    `{name}` is the name of the object."""


def _source(pods: str, *places: str, container: str = "") -> Source:
    return Source(re.compile(pods), places, container)


_TEKTON: Final = (_source(".*", "/metadata"),)
_SPARK: Final = (
    *(
        _source(
            rf"/spec(?:/template)?/{role}", r"\g<0>/template/metadata", r"\g<0>", container=f"spark-kubernetes-{role}"
        )
        for role in ("driver", "executor")
    ),
    _source("(/spec(?:/template)?/(?:driver|executor))/template", r"\1"),
)
_SPARK_CONNECT: Final = (
    _source("/spec/server", r"\g<0>/template/metadata", container="spark-kubernetes-driver"),
    _source("/spec/executor", r"\g<0>/template/metadata", container="spark-kubernetes-executor"),
)
_DYNAMO: Final = (r"\g<0>", r"\g<0>/extraPodMetadata")
_WORKFLOWS: Final = ("Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow")
_ARGO: Final = (_source(r"(/spec(?:/workflowSpec)?)/templates/\d+", r"\1/podMetadata"),)

SOURCES: Final[Mapping[tuple[str, str], tuple[Source, ...]]] = {
    ("serving.kserve.io", "InferenceService"): (_source(".*", "/metadata"),),
    ("serving.kserve.io", "LLMInferenceService"): (
        _source(r"(/spec(?:/prefill|/router/scheduler)?)/(?:template|worker)", r"\1"),
        _source("/spec(?:/prefill)?", r"\g<0>", container="main"),
    ),
    ("machinelearning.seldon.io", "SeldonDeployment"): (
        _source(r"(/spec)(/predictors/\d+)/componentSpecs/\d+", r"\1", r"\1\2"),
        _source(r"(/spec)/predictors/\d+", r"\1", r"\g<0>", container="/graph/name"),
    ),
    ("kubeflow.org", "Notebook"): (_source("/spec/template", "/metadata"),),
    ("sparkoperator.k8s.io", "SparkApplication"): _SPARK,
    ("sparkoperator.k8s.io", "ScheduledSparkApplication"): _SPARK,
    ("grove.io", "PodCliqueSet"): (_source(r"(/spec/template/cliques/\d+)/spec/podSpec", r"\1"),),
    ("grove.io", "PodClique"): (_source("/spec/podSpec", "/metadata"),),
    ("sparkoperator.k8s.io", "SparkConnect"): _SPARK_CONNECT,
    ("nvidia.com", "DynamoGraphDeployment"): (
        _source(r"(/spec)/services/[^/]+", r"\1", *_DYNAMO, container="main"),
        _source(r"(/spec)/components/\d+", r"\1", r"\g<0>/podTemplate/metadata", container="main"),
        _source(r"(/spec)/components/\d+/podTemplate", r"\1"),
    ),
    ("apps.nvidia.com", "NIMService"): (_source("/spec", r"\g<0>", container="{name}-ctr"),),
    ("nvidia.com", "DynamoComponentDeployment"): (_source("/spec", *_DYNAMO, container="main"),),
    **{("tekton.dev", kind): _TEKTON for kind in ("TaskRun", "PipelineRun", "Task", "Pipeline")},
    **{("argoproj.io", kind): _ARGO for kind in _WORKFLOWS},
}


def annotated(owner: Unstructured, path: str) -> dict[str, dict[str, Any]]:
    """The mappings of the object whose `annotations` the pods at `path` get, by JSON Pointer; later ones override."""
    found = dict[str, dict[str, Any]]()
    for source in _sources(owner):
        if match := source.pods.fullmatch(path):
            for place in map(match.expand, source.places):
                if isinstance(mapping := resolve_pointer(owner.value, place, None), dict):
                    found[place] = mapping
    return found


def made_container(owner: Unstructured, path: str) -> str:
    """The container in the pods that a controller makes of the mapping at `path`. Empty if it makes none."""
    sources = (source for source in _sources(owner) if source.container)
    name = next((source.container for source in sources if source.pods.fullmatch(path)), "")
    name = name.replace("{name}", owner.name)
    return str(resolve_pointer(owner.value, path + name, "") if name.startswith("/") else name)


def passes_on_its_own(owner: Unstructured) -> bool:
    """Whether the pods of an object get the annotations of its own metadata."""
    return any("/metadata" in source.places for source in _sources(owner))


def _sources(owner: Unstructured) -> tuple[Source, ...]:
    return SOURCES.get((owner.group, owner.kind), ())
