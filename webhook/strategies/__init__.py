"""How models get into pods: one module for each way, all of them in STRATEGIES."""

from collections.abc import Mapping
from typing import Final

from webhook.settings import StrategyName
from webhook.strategies import s3_init
from webhook.strategies.strategy import Strategy

__all__ = ["STRATEGIES"]

STRATEGIES: Final[Mapping[StrategyName, Strategy]] = {"s3-init": s3_init}
