"""The user's contract: every annotation, declared in `contract`, and what a pod's annotations come to, in `parsing`."""

from webhook.annotations.contract import ANNOTATIONS, INJECTED, WRITTEN, Annotation
from webhook.annotations.parsing import is_asking, parse, unknown

__all__ = ["ANNOTATIONS", "INJECTED", "WRITTEN", "Annotation", "is_asking", "parse", "unknown"]
