"""The strategy `oci-image`: a pod mounts an OCI image with the model's files at its root as an image volume.

There is no subPath, because containerd ignores it before version 2.2 and mounts the whole image instead.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from string import Formatter
from typing import Annotated, Any, Final, Literal

from pydantic import Field, field_validator

from webhook.fields.group import Group
from webhook.fields.parsers import SUBDOMAIN
from webhook.model.artifact import Artifact
from webhook.strategies.strategy import Delivery, Location, Plan, Strategy, StrategyUnavailable, Target

_PLACEHOLDERS: Final = ("model", "version")
_REFERENCE: Final = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?"  # the registry
    r"(/[a-z0-9]+((\.|__?|-+)[a-z0-9]+)*)+"  # the repository
    r"(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?",  # the tag
    re.ASCII,
)
_LONGEST: Final = 255
_SEPARATORS: Final = re.compile(r"[._-]+|[^a-z0-9._/-]+")
_SEPARATOR: Final = re.compile(r"\.|__?|-+")
_VERSION: Final = re.compile(r"(\d+)\.(\d+)")
_GATED, _ENABLED = (1, 31), (1, 35)
"""The versions of Kubernetes that have image volumes: with the feature gate, and by default."""


class ImageSettings(Group):
    """Settings of the strategy."""

    image: str = Field(default="", max_length=512)
    """The image of models for which the catalog has none, such as `registry.example.com/models/{model}:{version}`.
    Characters that an image's name cannot have are replaced: docs/strategies/oci-image.md. Empty: such models are not
    available."""
    pull_policy: Literal["", "Always", "IfNotPresent", "Never"] = ""
    """When kubelet pulls the image. Empty: if the node does not have it, and always for the tag latest."""
    pull_secrets: tuple[Annotated[str, Field(pattern=f"^{SUBDOMAIN}$", max_length=253)], ...] = ()
    """Names of Secrets with credentials of the registry, which the pod's namespace must have. Empty: those of the pod,
    of its service account and of the node."""
    cluster_version: str = Field(default="", pattern=r"^([0-9]+\.[0-9]+)?$")
    """The version of Kubernetes, such as `1.34`, if the webhook does not read it itself (inventory.enabled). The chart
    sets it. Empty: unknown, and no pod is refused for it."""
    feature_gate: bool = False
    """Whether the feature gate ImageVolume is switched on, in the API server and in kubelets. Kubernetes 1.31 to 1.34
    need it for image volumes."""

    @field_validator("image")
    @classmethod
    def _is_a_template(cls, image: str) -> str:
        if not image:
            return image
        try:
            parts = [part for part in Formatter().parse(image) if part[1] is not None]
        except ValueError as error:
            raise ValueError(f"{image!r} has an unmatched brace: {error}") from error
        for _, field, *formatting in parts:
            if field not in _PLACEHOLDERS or any(formatting):
                raise ValueError(f"{image!r} has the placeholder {{{field}…}}; write {{model}} and {{version}}")
        for name in _PLACEHOLDERS:
            if name not in [part[1] for part in parts]:
                raise ValueError(f"{image!r} lacks the placeholder {{{name}}}, so that versions would share an image")
        if "{" in image.partition("/")[0] or not _REFERENCE.fullmatch(_filled(image, "my-model", "1.2.3")):
            raise ValueError(
                f"{image!r} is not the name of an image such as registry.example.com/models/{{model}}:{{version}}"
            )
        return image


def plan(deliveries: Sequence[Delivery[Any]], target: Target, settings: ImageSettings) -> Plan:  # noqa: ARG001
    """A volume for each model. Raises StrategyUnavailable for a model without an image."""
    policy = {"pullPolicy": settings.pull_policy} if settings.pull_policy else {}
    images = {f"model-{delivery.slug}": _image(delivery.artifact, settings) for delivery in deliveries}
    return Plan(
        locations=tuple(map(Location, images)),
        volumes=tuple({"name": name, "image": {"reference": image, **policy}} for name, image in images.items()),
        image_pull_secrets=settings.pull_secrets,
        warnings=tuple(
            f"the image {image} is named by a tag, which can be moved to other files; record its digest in the catalog"
            for image in images.values()
            if "@" not in image
        ),
    )


def availability(delivery: Delivery[Any], target: Target, settings: ImageSettings) -> str | None:
    """Whether the cluster has image volumes, and the model has an image."""
    version = settings.cluster_version or (target.inventory.version if target.inventory else "")
    if problem := _version_problem(version, has_gate=settings.feature_gate):
        return problem
    try:
        _image(delivery.artifact, settings)
    except StrategyUnavailable as unavailable:
        return str(unavailable)
    return None


def _version_problem(version: str, *, has_gate: bool) -> str | None:
    """Why a version of Kubernetes has no image volumes. None if it has, or if the version is unknown."""
    found = _VERSION.match(version)
    if found is None:
        return None
    number = int(found[1]), int(found[2])
    if number < _GATED:
        return f"Kubernetes {version} has no image volumes; upgrade the cluster to 1.35, or use another strategy"
    if number < _ENABLED and not has_gate:
        return (
            f"Kubernetes {version} has image volumes only with the feature gate ImageVolume; switch it on and set "
            "strategies.oci-image.featureGate, or upgrade the cluster to 1.35"
        )
    return None


def _image(artifact: Artifact, settings: ImageSettings) -> str:
    """The image of a version: from the catalog, else by the template. Raises StrategyUnavailable."""
    if artifact.image:
        return artifact.image
    if not settings.image:
        raise StrategyUnavailable(
            f"the catalog has no image of {artifact.folder}, and the setting strategies.oci-image.image is empty"
        )
    image = _filled(settings.image, artifact.model, artifact.version)
    if len(image) > _LONGEST or not _REFERENCE.fullmatch(image):
        raise StrategyUnavailable(
            f"the setting strategies.oci-image.image gives {image}, which is not a valid name of an image; record the "
            "image in the catalog"
        )
    return image


@lru_cache(maxsize=1024)
def _filled(template: str, model: str, version: str) -> str:
    """The template with a model and a version, in the spelling of a repository, and of a tag after the last colon."""
    registry, slash, name = template.partition("/")
    repository, colon, tag = name.partition(":")
    values = {"model": model, "version": version}
    in_repository = {field: _repository(value) for field, value in values.items()}
    in_tag = {field: re.sub(r"[^A-Za-z0-9_.-]", "_", value) for field, value in values.items()}
    return registry + slash + repository.format(**in_repository) + colon + tag.format(**in_tag)


def _repository(text: str) -> str:
    """Text as parts of a repository's name: in lower case, and with `_` for separators that it cannot have."""
    spelt = _SEPARATORS.sub(lambda found: found[0] if _SEPARATOR.fullmatch(found[0]) else "_", text.lower())
    return "/".join(part.strip("._-") for part in spelt.split("/"))


STRATEGY: Final = Strategy(
    name="oci-image",
    summary="The pod mounts an OCI image with the model's files as an image volume.",
    plan=plan,
    settings=ImageSettings,
    availability=availability,
    volume_types=("image",),
)
