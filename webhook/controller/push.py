"""The Job that pushes the image of a version to a registry, and records its digest in the catalog."""

from typing import Final

from webhook.kubernetes.patch import JSON
from webhook.model.artifact import Artifact
from webhook.model.objects import labels
from webhook.settings import Settings

_SETTINGS: Final = "/etc/model-injector/settings"
_DOCKER: Final = "/etc/model-injector/docker"
_RETRIES: Final = 3
_LONGEST_SECONDS: Final = 6 * 3600
_KEPT_SECONDS: Final = 24 * 3600


def push_job(name: str, artifact: Artifact, source: str, repository: str, settings: Settings) -> JSON:
    """A batch/v1 Job in the controller's namespace that runs `model-injector image push`."""
    push, namespace = settings.controller.push, settings.controller.namespace
    options = ["--config", f"{_SETTINGS}/settings.yaml", "--source", source]
    has_login = bool(push.docker_config_secret)
    mounts = [{"name": "settings", "mountPath": _SETTINGS, "readOnly": True}]
    volumes: list[JSON] = [{"name": "settings", "configMap": {"name": push.config_map}}]
    if has_login:
        mounts.append({"name": "docker", "mountPath": _DOCKER, "readOnly": True})
        item = {"key": ".dockerconfigjson", "path": "config.json"}
        volumes.append({"name": "docker", "secret": {"secretName": push.docker_config_secret, "items": [item]}})
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": dict(labels(settings.annotation_prefix, artifact)),
            "annotations": {
                f"{settings.annotation_prefix}/uri": artifact.uri,
                f"{settings.annotation_prefix}/digest": artifact.digest or "",
            },
        },
        "spec": {
            "backoffLimit": _RETRIES,
            "activeDeadlineSeconds": _LONGEST_SECONDS,
            "ttlSecondsAfterFinished": _KEPT_SECONDS,
            "template": {
                "metadata": {"labels": dict(labels(settings.annotation_prefix, artifact))},
                "spec": {
                    "serviceAccountName": push.service_account,
                    "automountServiceAccountToken": False,
                    "restartPolicy": "Never",
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": 65532,
                        "runAsGroup": 65532,
                        "fsGroup": 65532,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [
                        {
                            "name": "push",
                            "image": push.image,
                            "args": [
                                *("image", "push", f"{artifact.model}@{artifact.version}", repository, *options),
                                *(["--plain-http"] if push.plain_http else []),
                            ],
                            **({"env": [{"name": "DOCKER_CONFIG", "value": _DOCKER}]} if has_login else {}),
                            "resources": {
                                "requests": {"cpu": "100m", "memory": "128Mi"},
                                "limits": {"memory": "256Mi"},
                            },
                            "securityContext": {
                                "allowPrivilegeEscalation": False,
                                "readOnlyRootFilesystem": True,
                                "capabilities": {"drop": ["ALL"]},
                            },
                            "terminationMessagePolicy": "FallbackToLogsOnError",
                            "volumeMounts": mounts,
                        }
                    ],
                    "volumes": volumes,
                },
            },
        },
    }
