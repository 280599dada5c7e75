"""The container that downloads one model: it runs fetch.sh in the stock image of s5cmd.

Whatever differs between pods reaches the script as an argument or as environment, checked before, so the script itself
is constant. docs/fetch.md has its contract.
"""

from typing import Final, NamedTuple

from webhook.fetching.options import FetchOptions
from webhook.fetching.script import MARK, SCRIPT
from webhook.fetching.settings import FetchSettings
from webhook.kubernetes.patch import JSON
from webhook.kubernetes.pod import Container, PodSpec
from webhook.model.artifact import Artifact

ROOT: Final = "/model-artifacts"
"""Where the container mounts its volume."""
_ACCOUNT_FILES: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
"""Where the API server mounts the service account's token in each container that mounts nothing else there. The
download needs no access to the API. Without the token, the pod that the webhook returns is final, so that the API
server does not call webhooks again."""
_TOKEN_FOLDER: Final = "/run/secrets/kubernetes.io/serviceaccount/"  # noqa: S105 - a path
"""What each spelling of a path in that folder contains: `/var/run` is a link to `/run`."""
_RETRIES: Final = 3
"""Retries by s5cmd itself, for one request. The script retries what fails for longer, and reports it."""


class Download(NamedTuple):
    """What a container downloads."""

    objects: str
    """The objects, as s5cmd's source: `s3://my-ml-bucket/model-artifacts/my-model-1.2.3/*`."""
    folder: str
    """The folder that they are written to, as the container sees it."""

    @property
    def uri(self) -> str:
        """The folder in S3."""
        return self.objects.removesuffix("/*")


def download_of(container: Container) -> Download | None:
    """What a container downloads, if it runs fetch.sh.

    Other webhooks may have added to the container or changed its image, and another version of this program may have
    made it, so only the script's name and its first arguments count.
    """
    arguments = container.args or ()
    if (container.command or ())[3:4] != (MARK,) or len(arguments) < len(Download._fields):
        return None
    return Download(*arguments[: len(Download._fields)])


def downloads(spec: PodSpec) -> list[Download]:
    """What the pod's init containers download."""
    return [download for container in spec.init_containers or () if (download := download_of(container))]


def needs_account_token(settings: FetchSettings) -> bool:
    """Whether a variable of the settings names a file beside the service account's token."""
    return any(_TOKEN_FOLDER in str(entry.get("value")) for entry in settings.env)


def fetch_container(  # noqa: PLR0913 - keyword arguments, each a part of the container
    *,
    name: str,
    volume: str,
    artifact: Artifact,
    options: FetchOptions,
    read_only: bool,
    resources: JSON,
    user: int | None,
    settings: FetchSettings,
) -> JSON:
    """A core/v1 Container that downloads `artifact` into `volume`, as `user`, admissible in *restricted* namespaces.

    `user`: None leaves the field out. 0 is only admissible where the application may run as root. `read_only`: the
    application only reads the files.
    """
    environment = _environment(artifact, settings)
    mounts: list[JSON] = [{"name": volume, "mountPath": ROOT}]
    if not needs_account_token(settings):
        mounts.append({"name": volume, "mountPath": _ACCOUNT_FILES, "readOnly": True})
    return {
        "name": name,
        "image": settings.image,
        "command": ["/bin/sh", "-c", SCRIPT, MARK],
        "args": _arguments(artifact, options, settings, read_only=read_only),
        **({"env": environment} if environment else {}),
        "resources": resources,
        "volumeMounts": mounts,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": user != 0,
            **({} if user is None else {"runAsUser": user}),
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _arguments(artifact: Artifact, options: FetchOptions, settings: FetchSettings, *, read_only: bool) -> list[str]:
    """The script's arguments, in the order that it takes them; docs/fetch.md has their table."""
    is_known = artifact.objects is not None and options.verify != "none"
    flags = ["--numworkers", str(settings.num_workers), "--retry-count", str(_RETRIES)]
    if artifact.source.anonymous:
        flags.append("--no-sign-request")
    if artifact.source.requester_pays:
        flags += ["--request-payer", "requester"]
    return [
        f"{artifact.uri}/*",
        f"{ROOT}/{artifact.folder}",
        f"{artifact.objects},{artifact.object_bytes}" if is_known else "-",
        options.verify,
        str(options.timeout),
        "a+rX" if read_only else "a+rwX",
        str(settings.concurrency),
        *flags,
    ]


def _environment(artifact: Artifact, settings: FetchSettings) -> list[JSON]:
    """The entries of the settings, then those that follow from the source, where the settings do not name them."""
    derived = {
        "AWS_REGION": artifact.source.region,
        "S3_ENDPOINT_URL": artifact.source.endpoint_url,
        "FETCH_CA_BUNDLE": settings.ca_bundle.strip(),
    }
    named = {entry["name"] for entry in settings.env}
    return [
        *settings.env,
        *({"name": name, "value": value} for name, value in derived.items() if value and name not in named),
    ]
