"""Previews of manifests: the decisions of `inject` and `pin` on a manifest's objects, without a cluster.

`read` parses the text into documents, `preview` decides on one document, and `answer` and `manifests` render the
outcomes. Only `preview` needs the catalog. The other functions are pure, and their time and memory are proportional to
the size of the text, so a server can run them in a separate process.
"""

from webhook.preview.answer import DocumentPreview, PodPreview, PreviewResponse, answer, manifests
from webhook.preview.documents import Document, read
from webhook.preview.formats import FORMATS, content
from webhook.preview.limits import LOCAL, SERVED, Limits
from webhook.preview.outcome import Outcome, check_models, makes_pods, preview

__all__ = [
    "FORMATS",
    "LOCAL",
    "SERVED",
    "Document",
    "DocumentPreview",
    "Limits",
    "Outcome",
    "PodPreview",
    "PreviewResponse",
    "answer",
    "check_models",
    "content",
    "makes_pods",
    "manifests",
    "preview",
    "read",
]
