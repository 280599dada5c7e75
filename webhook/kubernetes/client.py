"""Requests to the API server, as a pod's own service account or a kubeconfig has it."""

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from webhook.errors import InjectorError

_SECONDS: Final = (5, 10)
"""To connect, and between bytes of the answer."""


class ClusterError(InjectorError):
    """The API server is missing, or its answer is unusable."""


class RequestBody(NamedTuple):
    """What is sent."""

    kind: str
    """Its media type."""
    content: object
    """Text, which is sent as it is, or what JSON can hold."""


class ApiResponse:
    """What the API server, or a server behind it, has answered."""

    def __init__(self, what: str, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.what, self.status, self.headers, self.content = what, status, headers, content

    def json(self) -> dict[str, Any]:
        """An object that was asked for. Raises ClusterError for another answer; what it says stays unsaid."""
        if self.status >= HTTPStatus.BAD_REQUEST:
            raise ClusterError(f"{self.what}: the API server answers {self.status}")
        with contextlib.suppress(ValueError):
            found = json.loads(self.content)
            if isinstance(found, dict):
                return found
        raise ClusterError(f"{self.what}: the answer is no JSON")


class KubernetesClient:
    """An API server. Raises ClusterError where there is none, or it does not answer."""

    def __init__(self, context: str | None = None) -> None:
        """The cluster around this process, or the kubeconfig's where one is named; of that, the current context."""
        # Heavy, and of no use outside of a cluster. Without the client's classes for each API, which take 25 MiB.
        from kubernetes import config  # noqa: PLC0415
        from kubernetes.client import ApiClient, Configuration  # noqa: PLC0415

        settings = Configuration()
        self._context, self._is_inside = context, False
        try:
            if context is not None or "KUBECONFIG" in os.environ:
                raise config.ConfigException  # noqa: TRY301
            config.load_incluster_config(client_configuration=settings)
            self._is_inside = True
        except config.ConfigException:
            try:
                config.load_kube_config(client_configuration=settings, context=context)
            except config.ConfigException as error:
                raise ClusterError(f"there is no cluster here, and no kubeconfig: {error}") from error
            except Exception as error:  # noqa: BLE001 - whatever a broken file makes of the library
                raise ClusterError(f"the kubeconfig can't be read: {type(error).__name__}") from None
        settings.retries = False
        self._settings, self._client = settings, ApiClient(settings)

    def namespace(self) -> str | None:
        """The namespace that the kubeconfig's context names, if it does."""
        from kubernetes import config  # noqa: PLC0415

        if self._is_inside:
            return None
        contexts, active = config.list_kube_config_contexts()
        found = next((each for each in contexts if each["name"] == self._context), active)
        namespace = found["context"].get("namespace")
        return str(namespace) if namespace else None

    def token(self) -> str | None:
        """The bearer token that requests carry; None where they carry none, but a client certificate for instance."""
        value = self._settings.get_api_key_with_prefix("BearerToken", alias="authorization")
        return value.split()[-1] if value else None

    def request(
        self,
        method: str,
        path: str,
        body: RequestBody | None = None,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> ApiResponse:
        """One request."""
        from kubernetes.client import ApiException  # noqa: PLC0415
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        what = f"{method} {path}"
        try:
            request = self._client.param_serialize(
                method,
                path,
                query_params=list(query) or None,
                header_params={
                    "Accept": "application/json",
                    **(headers or {}),
                    "Content-Type": body.kind if body else "application/json",
                },
                body=body.content if body else None,
                auth_settings=["BearerToken"],
            )
            response = self._client.call_api(*request, _request_timeout=_SECONDS)
            return ApiResponse(what, response.status, response.headers, response.read())
        except ApiException as error:
            raise ClusterError(f"{what}: {error.reason}") from None
        except (HTTPError, OSError) as error:
            raise ClusterError(f"{what}: {type(error).__name__}") from error
