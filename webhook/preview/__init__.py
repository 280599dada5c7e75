"""What the cluster would do with a manifest, without asking it: the same `inject` and `pin`, on what someone wrote.

`read` makes documents of a text, `preview` decides on each, `answer` and `manifests` show what comes of it. Deciding
needs the catalog; all else needs time and memory in proportion to the text, and nothing more.
"""

from webhook.preview.answer import DocumentPreview, PodPreview, PreviewResponse, answer, manifests
from webhook.preview.documents import LOCAL, SERVED, Document, Limits, read
from webhook.preview.formats import FORMATS, content
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
