"""The files beside the Kubernetes objects: what bakes versions into an AMI, a snapshot or a container image."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any, Final

import yaml

from webhook.model.artifact import Artifact
from webhook.strategies.node_image.image import NodeImage
from webhook.strategies.node_image.nodes import in_words
from webhook.strategies.node_image.objects import image_cache
from webhook.strategies.node_image.settings import NodeImageSettings

_FILES: Final = files(__package__)
_LONGEST_BUILD: Final = 4 * 3600
_REGION, _ACCOUNT = "REGION", "111122223333"
"""Stand for the region and the account of the component, which the recipe names."""
_HEAD: Final = "#!/bin/sh\n# As root, with the AWS CLI.\nset -efu\n\n"
_CACHE: Final = """\
# A pool of Bottlerocket nodes for pods with the strategy oci-image. Their data volumes are made from a snapshot into
# which the models' OCI images were pulled. Write the ID of that snapshot in place of SNAPSHOT_ID.
"""
_NOT_TEXT: Final = re.compile(r"[yYnN]|[-+]?(0o[0-7_]+|[0-9][0-9_]*\.?[0-9_]*[eE][-+]?[0-9]+)")
"""Text that PyYAML leaves without quotes, and that readers of YAML 1.1 or 1.2 take for a boolean or a number."""


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a block, and quotes what other programs read as a boolean or a number."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else "'" if _NOT_TEXT.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def bake_files(images: Sequence[NodeImage], settings: NodeImageSettings) -> dict[str, str]:
    """The files by name. Names begin with that of the node image if there are several."""
    rendered = dict(_common(settings))
    for image in images:
        prefix = f"{image.name}." if len(images) > 1 else ""
        download, check = _downloads(image, settings), _checks(image, settings)
        rendered |= {
            f"{prefix}bake.sh": f"{_HEAD}{download}\n{check}",
            f"{prefix}packer.pkr.hcl": _packer(image, f"{prefix}bake.sh", settings),
            f"{prefix}image-builder-component.yaml": _component(image, _HEAD + download, _HEAD + check),
            f"{prefix}image-builder-recipe.json": _recipe(image, settings),
        }
    artifacts = [artifact for image in images for artifact in image.artifacts]
    for artifact in artifacts:
        prefix = f"{_file_name(artifact)}." if len(artifacts) > 1 else ""
        rendered[f"{prefix}Dockerfile.application"] = _application(artifact)
    return rendered


def component_name(image: NodeImage) -> str:
    """The name of the component in Image Builder, which allows no dot in it."""
    return image.name.replace(".", "-")


def _common(settings: NodeImageSettings) -> Iterator[tuple[str, str]]:
    yield "Dockerfile.image-volume", _read("Dockerfile.image-volume")
    yield "bottlerocket.yaml", _CACHE + yaml.dump_all(image_cache(settings), Dumper=_Dumper, sort_keys=False)


def _read(name: str) -> str:
    return (_FILES / name).read_text(encoding="utf-8")


def _file_name(artifact: Artifact) -> str:
    return artifact.folder.replace("/", "-")


def _downloads(image: NodeImage, settings: NodeImageSettings) -> str:
    return _read("download.sh") + "".join(
        shlex.join(("download", artifact.uri, _folder(artifact, settings), *_options(artifact))) + "\n"
        for artifact in image.artifacts
    )


def _checks(image: NodeImage, settings: NodeImageSettings) -> str:
    return _read("check.sh") + "".join(
        shlex.join(("check", _folder(artifact, settings), artifact.digest or "")) + "\n" for artifact in image.artifacts
    )


def _folder(artifact: Artifact, settings: NodeImageSettings) -> str:
    return f"{settings.path}/{artifact.folder}"


def _options(artifact: Artifact) -> Iterator[str]:
    """The options of the AWS CLI for the version's source."""
    source = artifact.source
    if source.region:
        yield from ("--region", source.region)
    if source.endpoint_url:
        yield from ("--endpoint-url", source.endpoint_url)
    if source.anonymous:
        yield "--no-sign-request"
    if source.requester_pays:
        yield from ("--request-payer", "requester")


def _packer(image: NodeImage, script: str, settings: NodeImageSettings) -> str:
    root = settings.volume_size + image.size
    variables: Mapping[str, tuple[str, Any]] = {
        "name": ("string", image.name),
        "tags": ("map(string)", dict(image.tags)),
        "parent_image": ("string", settings.parent_image),
        "path": ("string", settings.path),
        "script": ("string", script),
        "root_size": ("number", root),
        "data_size": ("number", image.size + 1 if image.size else settings.volume_size),
    }
    blocks = [
        f'variable "{name}" {{\n  type    = {kind}\n  default = {_hcl(value)}\n}}\n'
        for name, (kind, value) in variables.items()
    ]
    return "\n".join([_read("packer.pkr.hcl"), *blocks])


def _hcl(value: Any) -> str:
    """JSON is an expression of HCL, apart from the marks of templates in strings."""
    text = json.dumps(value, indent=2).replace("${", "$${").replace("%{", "%%{")
    return text.replace("\n", "\n  ")


def _component(image: NodeImage, download: str, check: str) -> str:
    document = {
        "name": component_name(image),
        "description": f"Models for the nodes with {in_words(image.labels)}",
        "schemaVersion": 1.0,
        "phases": [_phase("build", "Download", download), _phase("validate", "Check", check)],
    }
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=120)


def _phase(name: str, step: str, command: str) -> Mapping[str, Any]:
    # ExecuteBash, because the action S3Download is limited to files of 2 GB in places.
    return {
        "name": name,
        "steps": [
            {
                "name": step,
                "action": "ExecuteBash",
                "timeoutSeconds": _LONGEST_BUILD,
                "onFailure": "Abort",
                "inputs": {"commands": [command]},
            }
        ],
    }


def _recipe(image: NodeImage, settings: NodeImageSettings) -> str:
    name = component_name(image)
    recipe = {
        "name": name,
        "semanticVersion": "1.0.0",
        "parentImage": f"ssm:{settings.parent_image}",
        "components": [{"componentArn": f"arn:aws:imagebuilder:{_REGION}:{_ACCOUNT}:component/{name}/x.x.x"}],
        "blockDeviceMappings": [
            {
                "deviceName": "/dev/xvda",
                "ebs": {
                    "volumeSize": settings.volume_size + image.size,
                    "volumeType": "gp3",
                    "deleteOnTermination": True,
                },
            }
        ],
        "amiTags": dict(image.tags),
    }
    return json.dumps(recipe, indent=2) + "\n"


def _application(artifact: Artifact) -> str:
    folder = artifact.folder
    return (
        f"{_read('Dockerfile.application')}"
        f"COPY --chmod=755 {folder}/ ${{MOUNT_PATH}}/{folder}/\n"
        f"ENV MODEL_PATH=${{MOUNT_PATH}}/{folder} MODEL_NAME={artifact.model} MODEL_VERSION={artifact.version}\n"
    )
