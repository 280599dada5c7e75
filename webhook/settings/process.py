"""How the webhook listens, and what makes the API server trust it."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic.alias_generators import to_camel

from webhook.fields.group import Group
from webhook.fields.parsers import SUBDOMAIN
from webhook.fields.types import Lifetime, Seconds


class CertificateSettings(Group):
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


class PreviewSettings(Group):
    """Who may ask for previews."""

    auth: Literal["kubernetes", "none"] = "kubernetes"
    """kubernetes: who shows a token of the cluster's and may create pods in a manifest's namespace. none: anyone who
    reaches the port, which has to be on loopback."""
    force: bool = False
    """auth none: also where the port is not on loopback. Then the catalog is everyone's to read."""


class ServerSettings(Group):
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
    """How often the two files and the cluster's caBundle are read. Mounted Secrets give no reliable file events."""
    drain: Seconds = 10
    """How long a server that has been told to stop goes on serving while the cluster takes it out of the Service."""
