"""POST /preview as a FastAPI path operation: parameters, access, responses, and their descriptions for OpenAPI."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Security
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from pydantic import AfterValidator
from starlette.requests import Request
from starlette.responses import Response

from webhook.errors import shown
from webhook.fields.parsers import LABEL, LABEL_LENGTH, label
from webhook.preview import SERVED, PreviewResponse
from webhook.preview.access import AUDIENCE, TOKEN_HEADER
from webhook.web.access import OpenAccess, User
from webhook.web.answering import Answering, ErrorResponse, Handler
from webhook.web.negotiation import media_type
from webhook.web.preview import PreviewService

_DESCRIPTION: Final = (
    "Accepts objects of any kind, Lists and AdmissionReviews, as one or several YAML or JSON documents. Decides on "
    "each object as admission does, without any change in the cluster. The manifest is not stored."
)
_ERRORS: Final = {
    400: "The manifest or a parameter is invalid; the message names the line.",
    401: "The token is missing, or the cluster does not accept it.",
    403: "The token's user may not create pods in a namespace of the manifest.",
    406: "Accept allows no available format.",
    413: (
        f"The manifest exceeds a limit: {SERVED.size} bytes, {SERVED.documents} documents, {SERVED.models} models, "
        f"{SERVED.nodes} nodes."
    ),
    429: "The user exceeds its rate; Retry-After gives the seconds to wait.",
    500: "An internal error.",
    503: "The server is busy, or the API server or S3 does not respond.",
}
_MANIFEST: Final = {
    "title": "Manifest",
    "type": "object",
    "description": "A Kubernetes object of any kind, a List, or an AdmissionReview.",
    "required": ["apiVersion", "kind"],
    "properties": {
        "apiVersion": {"type": "string", "minLength": 1},
        "kind": {"type": "string", "minLength": 1},
    },
}
_REQUEST_BODY: Final = {
    "required": True,
    "description": "The manifest. Its format, YAML or JSON, is detected from the content, not from the media type.",
    "content": {media: {"schema": _MANIFEST} for media in ("application/yaml", "application/json")},
}
_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"application/yaml": {"schema": _MANIFEST}, "text/plain": {"schema": {"type": "string"}}}},
    **{status: {"model": ErrorResponse, "description": text} for status, text in _ERRORS.items()},
}
_BEARER: Final = HTTPBearer(
    scheme_name="bearer",
    description=f"A token that the cluster accepts: `kubectl create token ACCOUNT --audience {AUDIENCE}`.",
    auto_error=False,
)
_BEHIND_PROXY: Final = APIKeyHeader(
    name=TOKEN_HEADER,
    scheme_name="behindProxy",
    description="The same token, for requests through the API server's proxy, which uses Authorization itself.",
    auto_error=False,
)


def _dns_label(text: str) -> str:
    try:
        return label(text)
    except ValueError:
        raise ValueError(f"{shown(text)} is not a DNS label; use a name such as default") from None


Namespace = Annotated[
    str,
    Query(
        description="The namespace of documents without metadata.namespace.",
        examples=["apps"],
        json_schema_extra={"pattern": f"^{LABEL}$", "maxLength": LABEL_LENGTH},
    ),
    AfterValidator(_dns_label),
]


def preview_router(service: PreviewService, answering: Answering) -> APIRouter:
    """The router with the path operation.

    The operation reads the body and builds the response without FastAPI, which would buffer a body of any size, and
    encode the response in this process.
    """

    class PreviewRoute(APIRoute):
        def get_route_handler(self) -> Handler:
            return partial(answering.answer, super().get_route_handler())

    router = APIRouter(route_class=PreviewRoute)
    authenticated = _authentication(service)

    @router.post(
        "/preview",
        operation_id="preview",
        tags=["preview"],
        summary="Preview what the cluster would do with a manifest",
        description=_DESCRIPTION,
        response_model=PreviewResponse,
        response_description="A preview of each document, in the format that Accept asks for.",
        responses=_RESPONSES,
        openapi_extra={"requestBody": _REQUEST_BODY},
    )
    async def preview(
        request: Request,
        media: Annotated[str, Depends(media_type)],
        user: Annotated[User, Depends(authenticated)],
        namespace: Namespace = "default",
    ) -> Response:
        return Response(await service.preview(request, user, namespace, media), media_type=media)

    return router


def _authentication(service: PreviewService) -> Callable[..., Awaitable[User]]:
    """The dependency that returns the user. OpenAPI lists the security schemes only if a token is required."""

    async def anyone(request: Request) -> User:
        return await service.user(request, None)

    async def token_user(
        request: Request,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
        behind_proxy: Annotated[str | None, Security(_BEHIND_PROXY)],
    ) -> User:
        return await service.user(request, behind_proxy or (bearer.credentials if bearer else None))

    return anyone if isinstance(service.access, OpenAccess) else token_user
