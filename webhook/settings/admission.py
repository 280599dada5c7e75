"""Settings of the decision about a pod: its defaults, what is known of models, and who may use them."""

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from webhook.fields.group import Group
from webhook.fields.parsers import SUBDOMAIN
from webhook.fields.types import AbsolutePath, Globs, Seconds, Verification
from webhook.strategies import STRATEGIES, parse_strategies

_STRATEGY: Final = "|".join(map(re.escape, STRATEGIES))


def _strategies(value: str) -> str:
    try:
        return ",".join(parse_strategies(value))
    except ValueError as error:
        raise ValueError(
            f"{value!r} is not {' or '.join(STRATEGIES)}, or several of them with commas between"
        ) from error


StrategyList = Annotated[
    str,
    AfterValidator(_strategies),
    WithJsonSchema({"type": "string", "pattern": f"^({_STRATEGY})( *, *({_STRATEGY}))*$"}),
]


class DefaultSettings(Group):
    """What holds where a pod's annotations say nothing."""

    strategy: StrategyList = "s3-init"
    """How models get into pods: one strategy, or several with commas between, of which the first available one is used.
    s3-init needs nothing but S3, and works on every node."""
    version: str = Field(default="", pattern=r"^([A-Za-z0-9@^~<>=!*][A-Za-z0-9._+,<>=!^~ *-]*)?$")
    """The version of a model that is asked for without one. Empty refuses such a pod: a version should be a choice."""
    mount_path: AbsolutePath = "/model-artifacts"
    """The folder in the containers under which models stand."""
    service_account: str = Field(default="", pattern=f"^({SUBDOMAIN})?$")
    """The service account of pods that have none of their own; empty leaves them as they are."""
    verify: Verification = "size"
    """How a download is checked. Sizes cost nothing; sha256 reads every byte again."""


class CatalogSettings(Group):
    """What is known of models at admission."""

    mode: Literal["none", "s3"] = "none"
    """none: the webhook takes exact versions on trust and needs no AWS access. s3: it reads the buckets, resolves
    aliases and ranges, knows sizes, and checks a version before a pod starts."""
    refresh_seconds: Annotated[Seconds, Field(le=300)] = 30
    """How often the buckets are listed: one request for each thousand versions."""
    preflight: Literal["off", "warn", "enforce"] = "warn"
    """What happens to a pod whose model is unknown, unpublished, incomplete, archived, or denied to the webhook. Where
    S3 does not answer, the pod is admitted."""
    required_tag: str = Field(default="", pattern=r"^([A-Za-z0-9 +._:/@-]{1,128}=[A-Za-z0-9 +._:/@=-]{0,256})?$")
    """A tag such as published=true that a version's manifest must carry to count as published."""
    required: bool = False
    """The server is not ready before every source has been listed once. Without it, pods that come earlier are admitted
    unchecked where they ask for an exact version, and refused where they do not."""


class Rule(Group):
    """Who may use what. The first rule that matches a pod and a model decides; where none matches, all is allowed.

    Names are globs: `*` matches any characters, slashes included, `?` matches one, `[abc]` one of these.
    """

    namespaces: Globs = ("*",)
    """Namespaces of the pods."""
    models: Globs = ("*",)
    """Names of the models."""
    strategies: Globs = ("*",)
    """Names of the strategies."""
    service_accounts: Globs = ("*",)
    """Service accounts that the pods run as, `default` where they name none."""
    allow: bool = True
    """Whether such a pod may have such a model."""
    message: str = Field(default="", max_length=300)
    """What the author of a refused pod should know, such as whom to ask."""
