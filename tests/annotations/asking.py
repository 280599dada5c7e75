"""Annotations as a pod has them, and what is read from them."""

import pytest

from webhook.annotations.parsing import parse
from webhook.model.refusals import InvalidAnnotation
from webhook.model.request import PodRequest
from webhook.settings import Settings

SETTINGS = Settings(bucket="my-ml-bucket", sources={"research": {"bucket": "research-bucket"}})
PREFIX = "model-injector.io/"


def asked(**annotations: str) -> PodRequest:
    """What annotations ask for; their names are without the prefix, and with `_` in place of `-`."""
    return parse({PREFIX + name.replace("_", "-"): value for name, value in annotations.items()}, SETTINGS)


def refusal(**annotations: str) -> str:
    """Why annotations are refused, which they have to be."""
    with pytest.raises(InvalidAnnotation) as caught:
        asked(**annotations)
    return str(caught.value)
