"""Previews of a text, decided on as a webhook would."""

from webhook.catalog.lookup.exact import ExactCatalog
from webhook.catalog.resolution import Catalog
from webhook.preview import SERVED, DocumentPreview, PreviewResponse, answer, preview, read
from webhook.settings import Settings

SETTINGS = Settings(bucket="my-ml-bucket", prefix="model-artifacts")


def previewed(text: str, settings: Settings = SETTINGS, catalog: Catalog | None = None) -> PreviewResponse:
    """The answer for a manifest whose documents are in the namespace `apps` where they name none."""
    body = text.encode()
    found = [
        preview(each, each.namespace("apps"), settings, catalog or ExactCatalog(settings), SERVED)
        for each in read(body, SERVED)
    ]
    return answer(body, found, SERVED)


def only(text: str, settings: Settings = SETTINGS, catalog: Catalog | None = None) -> DocumentPreview:
    """The preview of the one document of a manifest."""
    (found,) = previewed(text, settings, catalog).documents
    return found
