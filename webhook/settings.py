"""Every setting, declared once: its name, default, bounds, and the reason for it.

A YAML file carries them in camelCase (`fetch: {numWorkers: 64}`), the environment as
`MODEL_INJECTOR_FETCH__NUM_WORKERS=64`, and the environment wins: configuration.py reads them. docs/settings.md is
printed from here.
"""

import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic.alias_generators import to_camel
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from webhook.fields import AbsolutePath, Globs, KeyPrefix, Lifetime, Quantity, Seconds, SourceName
from webhook.quantities import parse_quantity
from webhook.values import EXACT_VERSION, SUBDOMAIN

ENVIRONMENT_PREFIX: Final = "MODEL_INJECTOR_"
DEFAULT_SOURCE: Final = "default"
StrategyName: TypeAlias = Literal["s3-init"]
Verification: TypeAlias = Literal["size", "sha256", "none"]
_BUCKET: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$"


_ENV: Final = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
        "value": {"type": "string"},
        "valueFrom": {"type": "object"},
    },
    "additionalProperties": False,
}


class _Group(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )


class Location(_Group):
    """A bucket, and how it is reached and read."""

    bucket: str = Field(default="", pattern=f"({_BUCKET})|^$")
    """The bucket of the source named `default`; empty means that there is none, and `sources` has them all."""
    prefix: KeyPrefix = ""
    """The folder of the bucket under which models stand; empty is the bucket's root."""
    layout: Literal["{model}-{version}", "{model}/{version}"] = "{model}-{version}"
    """The name of a version's folder, in the bucket and in containers alike; the default is the guide's."""
    region: str = Field(default="", pattern=r"^[a-z0-9-]*$")
    """The bucket's region. Empty leaves it to the pod's own AWS_REGION, which EKS sets, and to s5cmd's detection."""
    endpoint_url: str = Field(default="", pattern=r"^(https?://[A-Za-z0-9._:\[\]/-]+)?$")
    """The endpoint of an S3-compatible store, or of a VPC endpoint; empty is AWS's own."""
    anonymous: bool = False
    """Requests are not signed: for public buckets."""
    requester_pays: bool = False
    """The reader pays for requests, as such buckets demand."""


class Source(Location):
    """Where models are."""

    bucket: str = Field(pattern=_BUCKET)
    """The bucket's name."""


class Defaults(_Group):
    """What holds where a pod's annotations say nothing."""

    strategy: StrategyName = "s3-init"
    """How models get into pods. s3-init needs nothing but S3, and works on every node."""
    version: str = Field(default="", pattern=r"^([A-Za-z0-9@^~<>=!*][A-Za-z0-9._+,<>=!^~ *-]*)?$")
    """The version of a model that is asked for without one. Empty refuses such a pod: a version should be a choice."""
    mount_path: AbsolutePath = "/model-artifacts"
    """The folder in the containers under which models stand."""
    service_account: str = Field(default="", pattern=f"^({SUBDOMAIN})?$")
    """The service account of pods that have none of their own; empty leaves them as they are."""
    verify: Verification = "size"
    """How a download is checked. Sizes cost nothing; sha256 reads every byte again."""


class ResourceList(_Group):
    """Quantities of one kind, requests or limits."""

    cpu: Quantity | None = None
    """Processor time."""
    memory: Quantity | None = None
    """Memory."""


class Resources(_Group):
    """Resources of the init containers."""

    requests: ResourceList = ResourceList(cpu="100m", memory="64Mi")
    """Small, for a pod's request is the larger of its init containers' and its containers', not their sum."""
    limits: ResourceList = ResourceList(memory="256Mi")
    """Several times what s5cmd takes with the numbers below; no limit of CPU, for it only makes a start slower."""

    @model_validator(mode="after")
    def _requests_within_limits(self) -> Self:
        for resource in ResourceList.model_fields:
            request, limit = getattr(self.requests, resource), getattr(self.limits, resource)
            if request and limit and parse_quantity(request) > parse_quantity(limit):
                raise ValueError(f"requests.{resource} {request} is more than limits.{resource} {limit}")
        return self


class Fetch(_Group):
    """The init container that downloads."""

    image: str = Field(default="peakcom/s5cmd:v2.3.0", pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$")
    """The stock image of s5cmd, pinned: a moving tag would change every pod of the cluster at a time nobody chose."""
    timeout: Seconds = 30 * 60
    """How long a download may take, retries included (`30m`): a stalled one must end and say so."""
    num_workers: int = Field(default=32, ge=1, le=1024)
    """Files at a time. s5cmd's own 256 was slower and took more memory on small nodes."""
    concurrency: int = Field(default=16, ge=1, le=256)
    """Parts at a time of one file. Models are few and large, so more than s5cmd's own 5."""
    size_headroom: int = Field(default=10, ge=0, le=1000)
    """Percent by which a volume may be larger than its models, where the catalog knows their size: for what the
    application writes beside them, and for a folder without a manifest that grows."""
    run_as_user: int = Field(default=65532, ge=1)
    """The numeric user of the init container where the pod names none; the stock image would run as root."""
    resources: Resources = Resources()
    """Its resources; a pod's annotations override each."""
    ca_bundle: str = Field(
        default="",
        max_length=64 * 1024,  # Linux takes no variable of more than twice that
        pattern=r"^(\s*|\s*(-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\s*)+)$",
    )
    """Certificates (PEM) that it trusts besides the image's: for a private endpoint or a proxy that looks inside TLS.
    They travel in the pod, so that no ConfigMap is needed in anyone's namespace."""
    env: tuple[Annotated[dict[str, Any], WithJsonSchema(_ENV)], ...] = ()
    """More environment, as a container has it (`name` and `value`, or `valueFrom`): proxies, credentials of a store
    that is not AWS."""

    @model_validator(mode="after")
    def _env_is_kubernetes(self) -> Self:
        for entry in self.env:
            name, rest = entry.get("name"), entry.keys() - {"name"}
            if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                raise ValueError("env: each entry needs a name, such as HTTPS_PROXY")
            value, source = entry.get("value", ""), entry.get("valueFrom", {})
            if rest not in ({"value"}, {"valueFrom"}) or not isinstance(value, str) or not isinstance(source, dict):
                raise ValueError(f"env: {name} needs a value (a string) or a valueFrom (a mapping), and nothing else")
        return self


class Catalog(_Group):
    """What is known of models at admission."""

    mode: Literal["none", "s3"] = "none"
    """none: exact versions are taken at their word, and the webhook needs no AWS access. s3: it reads the buckets,
    knows aliases, ranges and sizes, and looks before a pod starts."""
    refresh_seconds: Annotated[Seconds, Field(le=300)] = 30
    """How often the buckets are listed: one request for each thousand versions."""
    preflight: Literal["off", "warn", "enforce"] = "warn"
    """What happens to a pod whose model is unknown, unpublished, incomplete, archived, or denied to the webhook. Where
    S3 can't be asked, it is admitted."""
    required_tag: str = Field(default="", pattern=r"^([A-Za-z0-9 +._:/@-]{1,128}=[A-Za-z0-9 +._:/@=-]{0,256})?$")
    """A tag such as published=true that a version's manifest has to carry, or it does not count as published."""
    required: bool = False
    """Not ready before every source has been listed once. Otherwise exact versions are admitted meanwhile, unchecked,
    and what has to be resolved is refused."""


class Rule(_Group):
    """Who may use what. Of several, the first that fits a pod and a model decides; where none does, all is allowed.

    Names are globs: `*` stands for any signs, a slash among them, `?` for one, `[abc]` for one of these.
    """

    namespaces: Globs = ("*",)
    """Namespaces of the pods."""
    models: Globs = ("*",)
    """Names of the models."""
    strategies: Globs = ("*",)
    """Ways into the pod."""
    service_accounts: Globs = ("*",)
    """Service accounts that the pods run as, `default` where they name none."""
    allow: bool = True
    """Whether such a pod may have such a model."""
    message: str = Field(default="", max_length=300)
    """What a person who is refused should know, such as whom to ask."""


class Certificates(_Group):
    """What makes the API server trust the webhook."""

    mode: Literal["auto", "cert-manager", "provided"] = "provided"
    """auto: the replicas keep authorities in a Secret, and the caBundles. Otherwise `server.tlsCert` and `tlsKey` are
    someone else's to renew: cert-manager's, or yours."""
    webhook_configuration: str = Field(default="", pattern=f"^({SUBDOMAIN})?$")
    """The MutatingWebhookConfiguration that API servers know the webhook by. The server is ready only while its
    certificate verifies against the caBundle there. Empty: nothing is compared."""
    hosts: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9.:-]+$")], ...] = ()
    """What clients know the server by, DNS names or IP addresses; first what the API server knows it by,
    SERVICE.NAMESPACE.svc."""
    namespace: str = Field(default="", pattern=f"^({SUBDOMAIN})?$")
    """auto: the namespace of the Secret."""
    secret: str = Field(default="", pattern=f"^({SUBDOMAIN})?$")
    """auto: the name of the Secret."""
    ca_lifetime: Lifetime = 365 * 24 * 3600
    """auto: how long an authority lives. It is replaced after two thirds of that."""
    leaf_lifetime: Lifetime = 7 * 24 * 3600
    """auto: how long a replica's certificate lives. It is renewed after two thirds of that; none survives a restart."""
    overlap: Annotated[Seconds, Field(le=3600)] = 60
    """auto: how long API servers are given to see a new authority in the caBundle before anything is signed with it."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.webhook_configuration and not self.hosts:
            raise ValueError("webhookConfiguration needs hosts: the name that the API server knows this server by")
        if self.mode == "auto":
            for name in ("webhook_configuration", "namespace", "secret"):
                if not getattr(self, name):
                    raise ValueError(f"mode auto needs {to_camel(name)}")
            if self.leaf_lifetime * 3 > self.ca_lifetime:
                raise ValueError("leafLifetime is more than a third of caLifetime, and would outlive the authority")
            if self.overlap * 6 > self.ca_lifetime:
                raise ValueError("overlap is more than a sixth of caLifetime: the old authority would end before")
        return self


class Server(_Group):
    """How `model-injector serve` listens."""

    host: str = ""
    """The address of both ports. Empty is every one, of IPv4 and IPv6: a pod does not know its own beforehand."""
    port: int = Field(default=8443, ge=0, le=65535)
    """TLS: /mutate. 0 takes a free one."""
    ops_port: int = Field(default=8080, ge=0, le=65535)
    """Plain HTTP: /healthz, /readyz and /metrics, for kubelet and Prometheus."""
    tls_cert: Path = Path("/etc/model-injector/tls/tls.crt")
    """The certificate chain (PEM), where certificates.mode is not auto. Read again when its content changes."""
    tls_key: Path = Path("/etc/model-injector/tls/tls.key")
    """Its private key (PEM)."""
    tls_poll: Seconds = 5
    """How often the two, and the cluster's caBundle, are looked at: no event reliably tells of a mounted Secret."""
    drain: Seconds = 10
    """How long a server that has been told to stop goes on serving while the cluster takes it out of the Service."""


class Settings(Location, BaseSettings):
    """All settings. The source named `default` stands at the top level, as it does in the chart's values."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, env_nested_delimiter="__")

    sources: dict[SourceName, Source] = {}
    """More places, by the name that the annotation `source` asks for. Each has the settings above, and a bucket."""
    annotation_prefix: str = Field(default="model-injector.io", pattern=f"^{SUBDOMAIN}$")
    """What the annotations' names begin with, before the slash."""
    defaults: Defaults = Defaults()
    """What holds where a pod's annotations say nothing."""
    fetch: Fetch = Fetch()
    """The init container that downloads."""
    catalog: Catalog = Catalog()
    """What is known of models at admission."""
    rules: tuple[Rule, ...] = Field(default=(), max_length=1000)
    """Which namespaces may use which models, strategies and service accounts. Each has the settings below."""
    certificates: Certificates = Certificates()
    """What makes the API server trust the webhook."""
    server: Server = Server()
    """How `model-injector serve` listens."""

    __hash__ = object.__hash__  # there is one of it, and what follows from it is remembered

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.bucket and not self.sources:
            raise ValueError("no bucket is set: set `bucket`, or `sources`")
        version = self.defaults.version
        if self.catalog.mode == "none" and version and not EXACT_VERSION.fullmatch(version):
            raise ValueError(
                f"defaults.version {version!r} needs a catalog, and catalog.mode is none: set an exact one"
            )
        if self.bucket and DEFAULT_SOURCE in self.sources:
            raise ValueError(f"sources.{DEFAULT_SOURCE} and the top level's bucket are the same source: keep one")
        return self

    @cached_property
    def all_sources(self) -> dict[str, Source]:
        """Every source by its name, the top level's among them."""
        if not self.bucket:
            return self.sources
        return {DEFAULT_SOURCE: Source(**{name: getattr(self, name) for name in Source.model_fields}), **self.sources}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the library's signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file, whose content `load` passes as arguments."""
        return env_settings, init_settings
