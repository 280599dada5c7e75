"""Annotations: values that people write for each of them, and hostile ones."""

import copy
from typing import Any

import yaml
from hypothesis import strategies as st

from tests.support.generators.pods import pods
from tests.support.generators.text import HOSTILE
from webhook.annotations.contract import ANNOTATIONS, BY_KEY
from webhook.strategies import STRATEGIES

JSON = dict[str, Any]
PREFIX = "model-injector.io"
SERVICE_ACCOUNT_VOLUME = "kube-api-access-x7k2p"
"""The volume of a service account's token, which the API server adds."""
_VALUES: dict[str, list[str]] = {
    "model": ["my-model", "encoder", "team/my-model", "My-Model", "my-model-1.2.3"],
    "version": ["1.2.3", "@champion", "^1.2", "~1.2", ">=1.2,<2", "latest", "1.2", "v1.2.3", "@", "^", "9.9.9"],
    "source": ["default", "research"],
    "strategy": [*STRATEGIES, ",".join(STRATEGIES), "s3-init, volume", "s3-init,s3-init"],
    "mount-path": ["/models", "/", "/proc", "models", "/models/", "/a/b/c"],
    "model-path": ["/model", "/models/my-model", "/models"],
    "containers": ["app", "app,proxy", "a, b", "*"],
    "volume": ["own-a", "data", "model-artifacts", SERVICE_ACCOUNT_VOLUME],
    "service-account": ["default", "my-app"],
    "medium": ["disk", "memory"],
    "size-limit": ["1Gi", "1e3", "0", "-1", "10Ei"],
    "timeout": ["30m", "1h30m", "0s", "99999h"],
    "verify": ["size", "sha256", "none"],
    "inject": ["false", "true"],
    "follow": ["true"],
    "injected": ["[]", '[{"model":"my-model","version":"1.2.3"}]', '[{"model":1}]', "{}"],
    "pinned": ["{}", '{"models":[{"model":"my-model","version":"1.2.3"}]}', "[]"],
}
_VALID: dict[str, list[str]] = {
    "strategy": ["s3-init", "s3-init,node-cache", "node-cache,s3-init"],
    "mount-path": ["/models", "/a/b/c"],
    "model-path": ["/model", "/b/my-model"],
    "medium": ["disk", "memory"],
    "size-limit": ["1Gi", "1e9"],
    "timeout": ["30m", "1h30m"],
    "verify": ["size", "sha256", "none"],
    "follow": ["true", "false"],
    "read-only": ["true", "false"],
    "service-account": ["my-app"],
    "pinned": ["{}", '{"models":[{"model":"my-model","version":"1.2.3"}]}'],
}
"""Values that are valid together, in most pods."""
_MODELS = {"my-model": ["1.2.3", "2.0.0", "@champion", "^1.2", "~1.2", ">=1.2,<2", "latest"], "encoder": ["^1"]}
"""The models of the fuzzed catalog, and references to versions that they have."""
_NAMES = sorted({annotation.name for annotation in ANNOTATIONS} | set(_VALUES) | {"models", "modle", "", "x" * 300})
_any_value = st.one_of(*(st.sampled_from(values) for values in _VALUES.values()))
_version = st.sampled_from(_VALUES["version"])


def _value(name: str) -> st.SearchStrategy[str]:
    if name == "models":
        return st.one_of(_entries(), HOSTILE)
    likely = st.sampled_from(_VALUES[name]) if name in _VALUES else _any_value
    return st.one_of(likely, likely, _any_value, HOSTILE)


@st.composite
def _entries(draw: st.DrawFn) -> str:
    """The annotation `models`: YAML with some entries."""
    entry = st.dictionaries(
        st.sampled_from([*BY_KEY, "modle"]), st.one_of(_any_value, HOSTILE, st.none(), st.lists(_any_value, max_size=2))
    )
    entries = draw(
        st.lists(st.one_of(entry, st.fixed_dictionaries({"model": st.just("encoder"), "version": _version})))
    )
    return yaml.safe_dump(entries, default_flow_style=draw(st.booleans()), allow_unicode=draw(st.booleans()))


@st.composite
def _valid(draw: st.DrawFn) -> dict[str, str]:
    """Annotations that most pods get a model by, so that patches are generated."""
    model = draw(st.sampled_from(sorted(_MODELS)))
    names = draw(st.lists(st.sampled_from(sorted(_VALID)), max_size=3, unique=True))
    version = draw(st.sampled_from(_MODELS[model]))
    return {"model": model, "version": version, **{name: draw(st.sampled_from(_VALID[name])) for name in names}}


@st.composite
def annotations(draw: st.DrawFn) -> dict[str, str]:
    """Annotations with the prefix; most ask for a model, and half of them for one that there is."""
    if draw(st.booleans()):
        return {f"{PREFIX}/{name}": value for name, value in draw(_valid()).items()}
    named = {"model": draw(_value("model")), "version": draw(_value("version"))} if draw(st.integers(0, 5)) else {}
    for name in draw(st.lists(st.sampled_from(_NAMES), max_size=5, unique=True)):
        named[name] = draw(_value(name))
    return {f"{PREFIX}/{name}": value for name, value in named.items()}


_SPECS: tuple[JSON, ...] = (
    {"containers": [{"name": "app", "image": "app:1"}]},
    {
        "containers": [
            {
                "name": "app",
                "image": "app:1",
                "volumeMounts": [
                    {"name": SERVICE_ACCOUNT_VOLUME, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
                ],
            }
        ],
        "volumes": [{"name": SERVICE_ACCOUNT_VOLUME, "projected": {"sources": []}}],
    },
    {
        "containers": [
            {"name": "app", "image": "app:1", "env": [{"name": "MODEL_PATH", "value": "/own"}]},
            {"name": "proxy", "image": "proxy:1", "volumeMounts": [{"name": "data", "mountPath": "/models"}]},
        ],
        "initContainers": [{"name": "istio-proxy", "image": "proxy:1", "restartPolicy": "Always"}],
        "volumes": [{"name": "data", "emptyDir": {}}, {"name": "model-artifacts", "emptyDir": {}}],
        "serviceAccountName": "default",
        "nodeSelector": None,
    },
    {"containers": [], "volumes": None},
)
"""Specs that are drawn in no time, for many values of annotations."""


@st.composite
def annotated_pods(draw: st.DrawFn) -> JSON:
    """Pods of any shape with any annotations."""
    if draw(st.integers(0, 2)):
        spec = copy.deepcopy(draw(st.sampled_from(_SPECS)))
        pod: JSON = {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "app-"}, "spec": spec}
    else:
        pod = draw(pods())
    kept = {name: value for name, value in pod["metadata"].get("annotations", {}).items() if draw(st.booleans())}
    pod["metadata"]["annotations"] = {**kept, **draw(annotations())}
    return pod
