"""The preview page."""

from starlette.routing import Route

from webhook.settings import Settings


def page_routes(settings: Settings) -> list[Route]:  # noqa: ARG001
    """The page and its assets."""
    return []
