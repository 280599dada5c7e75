"""Settings of the server process: certificates, previews, and ports."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic.alias_generators import to_camel

from webhook.fields.group import Group
from webhook.fields.parsers import SUBDOMAIN
from webhook.fields.types import Lifetime, Seconds


class CertificateSettings(Group):
    """The certificate by which the API server trusts the webhook."""

    mode: Literal["auto", "cert-manager", "provided"] = "provided"
    """auto: the replicas manage authorities in a Secret, and write the caBundles. cert-manager, provided: cert-manager
    or you renew the files `server.tlsCert` and `server.tlsKey`."""
    webhook_configuration: str = Field(default="", pattern=f"^({SUBDOMAIN})?$")
    """The name of the webhook's MutatingWebhookConfiguration. The server is ready only while its certificate verifies
    against the caBundle there. Empty: the certificate is not verified."""
    hosts: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9.:-]+$")], ...] = ()
    """The DNS names and IP addresses by which clients reach the server. The first is that of the API server,
    SERVICE.NAMESPACE.svc."""
    namespace: str = Field(default="", pattern=f"^({SUBDOMAIN})?$")
    """auto: the namespace of the Secret."""
    secret: str = Field(default="", pattern=f"^({SUBDOMAIN})?$")
    """auto: the name of the Secret."""
    ca_lifetime: Lifetime = 365 * 24 * 3600
    """auto: the lifetime of an authority, which is replaced after two thirds of it."""
    leaf_lifetime: Lifetime = 7 * 24 * 3600
    """auto: the lifetime of a replica's certificate, which is renewed after two thirds of it, and at each start."""
    overlap: Annotated[Seconds, Field(le=3600)] = 60
    """auto: how long a new authority is in the caBundle before it signs, so that every API server has read it."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.webhook_configuration and not self.hosts:
            raise ValueError(
                "webhookConfiguration needs hosts: set the name by which the API server reaches the server"
            )
        if self.mode == "auto":
            for name in ("webhook_configuration", "namespace", "secret"):
                if not getattr(self, name):
                    raise ValueError(f"mode auto needs {to_camel(name)}: set it")
            if self.leaf_lifetime * 3 > self.ca_lifetime:
                raise ValueError("leafLifetime has to be at most a third of caLifetime, to end before the authority")
            if self.overlap * 6 > self.ca_lifetime:
                raise ValueError("overlap has to be at most a sixth of caLifetime, to end before the old authority")
        return self


class PreviewSettings(Group):
    """Access to previews."""

    auth: Literal["kubernetes", "none"] = "kubernetes"
    """kubernetes: clients need a token of the cluster and the right to create pods in the manifest's namespace. none:
    every client may use previews; the port has to be on loopback."""
    force: bool = False
    """auth none: allow a port that is not on loopback. Every client can then read the catalog."""


class ServerSettings(Group):
    """The ports of `model-injector serve`."""

    host: str = ""
    """The address of both ports. Empty: all addresses, IPv4 and IPv6."""
    port: int = Field(default=8443, ge=0, le=65535)
    """The TLS port, with /mutate. 0: a free port."""
    ops_port: int = Field(default=8080, ge=0, le=65535)
    """The plain HTTP port, with /healthz, /readyz and /metrics, for the kubelet and Prometheus. 0: a free port."""
    tls_cert: Path = Path("/etc/model-injector/tls/tls.crt")
    """The certificate chain (PEM), unless certificates.mode is auto. Loaded again when it changes."""
    tls_key: Path = Path("/etc/model-injector/tls/tls.key")
    """The private key of the certificate (PEM)."""
    tls_poll: Seconds = 2
    """How often the certificate and the caBundle are read. Mounted Secrets give no reliable file events."""
    drain: Seconds = 10
    """How long the server keeps serving after it was told to stop, while the cluster removes it from the Service."""
