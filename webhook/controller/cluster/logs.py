"""Reads the last lines of containers' logs. Needs the right to `get` pods/log."""

from http import HTTPStatus
from typing import Final

from webhook.controller.steps import PODS
from webhook.kubernetes.client import ClusterError, KubernetesClient

_LONGEST_LINE: Final = 1024
"""What is read of a line, in bytes."""


def last_line(api: KubernetesClient, namespace: str, pod: str, container: str) -> str | None:
    """The last line of a container's log, or its beginning. None if the pod is gone or the container has not started.

    Raises ClusterError, also if the API server does not reach the kubelet.
    """
    query = [("container", container), ("tailLines", "1"), ("limitBytes", str(_LONGEST_LINE))]
    response = api.request("GET", f"{PODS.path(namespace, pod)}/log", query=query)
    if response.status in (HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST):
        return None
    if response.status == HTTPStatus.FORBIDDEN:
        raise ClusterError(
            f"{response.what}: the API server answers 403; the chart's config.controller.progress.enabled grants it"
        )
    if response.status != HTTPStatus.OK:
        raise ClusterError(f"{response.what}: the API server answers {response.status}")
    return response.content[:_LONGEST_LINE].decode(errors="replace")
