"""The registry of strategies, which are the ways to put models into pods. Each is one module of this package.

To add a strategy, write a module that defines `STRATEGY`, and add its name to `_MODULES`. The documentation lists the
strategies in the same order.
"""

from collections.abc import Mapping
from importlib import import_module
from itertools import chain
from typing import Final

from webhook.fields.annotation import Annotation
from webhook.strategies.strategy import Strategy

__all__ = ["ANNOTATIONS", "STRATEGIES", "parse_strategies"]

_MODULES: Final = (
    "s3_init",
    "s3_mount",
    "shared_volume",
    "node_image",
    "oci_image",
    "volume",
    "node_cache",
)


def _load(module: str) -> Strategy:
    strategy: Strategy = import_module(f"webhook.strategies.{module}").STRATEGY
    return strategy


STRATEGIES: Final[Mapping[str, Strategy]] = {strategy.name: strategy for strategy in map(_load, _MODULES)}
"""All strategies by name."""


def _annotations() -> tuple[Annotation, ...]:
    declared = dict[str, Annotation]()
    for annotation in chain.from_iterable(strategy.annotations for strategy in STRATEGIES.values()):
        if declared.setdefault(annotation.name, annotation) is not annotation:
            raise TypeError(
                f"two strategies declare the annotation {annotation.name} differently; share one declaration"
            )
    return tuple(declared.values())


ANNOTATIONS: Final = _annotations()
"""The annotations of all strategies without duplicates."""


def parse_strategies(text: str) -> tuple[str, ...]:
    """Parse a comma-separated list of strategies, and drop duplicates. Raises ValueError for an unknown name."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if not all(name in STRATEGIES for name in names):
        raise ValueError(text)
    return names
