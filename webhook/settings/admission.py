"""Settings of admission: defaults, the catalog, and rules."""

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from webhook.fields.group import Group
from webhook.fields.parsers import REFERENCE, SUBDOMAIN
from webhook.fields.types import AbsolutePath, EnvPrefix, Globs, Seconds, Verification
from webhook.kubernetes.mount_paths import is_parent, why_reserved
from webhook.strategies import STRATEGIES, parse_strategies

_LABEL: Final = "^[a-z]([a-z0-9-]*[a-z0-9])?$"
_STRATEGY: Final = "|".join(map(re.escape, STRATEGIES))


def _strategies(value: str) -> str:
    try:
        return ",".join(parse_strategies(value))
    except ValueError as error:
        raise ValueError(f"{value!r} is not {' or '.join(STRATEGIES)}, or a comma-separated list of them") from error


def _free(path: str) -> str:
    reason = why_reserved(path)
    if reason and not is_parent(path):
        raise ValueError(f"no model can be mounted at {path}: {reason}; set another path, such as /models")
    return path


StrategyList = Annotated[
    str,
    AfterValidator(_strategies),
    WithJsonSchema({"type": "string", "pattern": f"^({_STRATEGY})( *, *({_STRATEGY}))*$"}),
]


class StrategyRule(Group):
    """The default strategy of some models in some namespaces. Names are globs: `*`, `?`, `[abc]`."""

    namespaces: Globs = ("*",)
    """Namespaces of the pods."""
    models: Globs = ("*",)
    """Names of the models."""
    strategy: StrategyList
    """A strategy, or a comma-separated list of which the first available one is used."""


class DefaultSettings(Group):
    """Defaults for what a pod's annotations do not set."""

    strategy: StrategyList = "s3-init"
    """How models get into pods: a strategy, or a comma-separated list of which the first available one is used. s3-init
    only needs S3, and works on every node."""
    strategy_rules: tuple[StrategyRule, ...] = Field(default=(), max_length=1000)
    """Other defaults for some models or namespaces: the first rule that matches replaces `strategy`."""
    version: str = Field(default="", pattern=f"^({REFERENCE})?$")
    """The version of models that are asked for without one. Empty: such pods are refused, so that every version is
    chosen on purpose."""
    mount_path: Annotated[AbsolutePath, AfterValidator(_free)] = "/model-artifacts"
    """The parent of the models' folders in containers."""
    env_prefix: EnvPrefix = "MODEL"
    """The first part of the names of the environment variables, MODEL_PATH and so on. none: containers get none."""
    service_account: str = Field(default="", pattern=f"^({SUBDOMAIN})?$")
    """The service account of pods that do not name one. Empty: it is not changed."""
    verify: Verification = "size"
    """How downloads are verified. size costs nothing; sha256 reads every byte again."""


class CatalogSettings(Group):
    """The catalog of the models in the buckets."""

    mode: Literal["none", "s3"] = "none"
    """none: the webhook accepts every exact version without a check, and needs no AWS access. s3: it lists the buckets,
    resolves aliases and ranges, knows sizes, and checks a version before a pod starts."""
    refresh_seconds: Annotated[Seconds, Field(le=300)] = 30
    """How often the buckets are listed, which takes one request per thousand versions."""
    preflight: Literal["off", "warn", "enforce"] = "warn"
    """What happens to a pod whose model is unknown, unpublished, incomplete, archived, or not readable by the webhook:
    nothing, a warning, or a refusal. If S3 does not answer, the pod is admitted."""
    required_tag: str = Field(default="", pattern=r"^([A-Za-z0-9 +._:/@-]{1,128}=[A-Za-z0-9 +._:/@=-]{0,256})?$")
    """An object tag such as published=true that the manifest of a version needs, so that the version is published."""
    required: bool = False
    """Whether the server becomes ready only after every source has been listed. If not, earlier pods with exact
    versions are admitted unchecked, and those with other references are refused."""


class InventorySettings(Group):
    """What the webhook reads about the cluster, to know which strategies are available."""

    enabled: bool = False
    """Whether the webhook reads the claims that have the label `model`, the CSI drivers, and the cluster's version.
    Without it, a pod whose strategy the cluster is not ready for is admitted, and waits for its volume."""
    refresh_seconds: Annotated[Seconds, Field(le=300)] = 15
    """How often they are read, which takes three requests to the API server."""


class Rule(Group):
    """Who may use what. The first rule that matches a pod and a model decides; without a match, all is allowed.

    Names are globs: `*` matches any characters, including slashes, `?` matches one, `[abc]` one of these.
    """

    namespaces: Globs = ("*",)
    """Namespaces of the pods."""
    models: Globs = ("*",)
    """Names of the models."""
    strategies: Globs = ("*",)
    """Names of the strategies."""
    service_accounts: Globs = ("*",)
    """Service accounts of the pods; `default` for pods that name none."""
    allow: bool = True
    """Whether pods that match may use models that match."""
    message: str = Field(default="", max_length=300)
    """A hint for the author of a refused pod, such as whom to ask."""


class WorkloadKind(Group):
    """A kind of workload, by the names in the paths of its API: `/apis/GROUP/VERSION/namespaces/…/RESOURCE`."""

    group: str = Field(pattern=f"^({SUBDOMAIN})?$", max_length=253)
    """The API group. Empty: the core group."""
    version: str = Field(pattern=_LABEL, max_length=63)
    """A version of the group. Objects of its other versions are included, because the API server converts them."""
    resource: str = Field(pattern=_LABEL, max_length=63)
    """The plural name, such as leaderworkersets."""


class WorkloadSettings(Group):
    """Workloads whose templates are pinned."""

    kinds: tuple[WorkloadKind, ...] = Field(default=(), max_length=100)
    """Kinds whose pod templates are pinned, besides those of Kubernetes: `group`, `version` and `resource` of each. The
    chart sets it from its value webhook.workloads.kinds, which also makes the API server send these kinds."""

    def names(self, group: str, resource: str) -> bool:
        """Whether one of the kinds is this one."""
        return any((kind.group, kind.resource) == (group, resource) for kind in self.kinds)
