"""The user's contract: every annotation, declared in `contract`, and what a pod's annotations come to, in `parsing`."""

from webhook.annotations.contract import ANNOTATIONS, INJECTED, Annotation
from webhook.annotations.parsing import is_asking, parse, unknown

__all__ = ["ANNOTATIONS", "INJECTED", "Annotation", "is_asking", "parse", "unknown"]
