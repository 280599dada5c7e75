"""How often someone may ask."""

from collections import OrderedDict
from math import ceil
from time import monotonic

from webhook.errors import TooMany


class Rate:
    """So many requests a second for each key, and a burst of more after a pause; of a bounded number of keys."""

    def __init__(self, per_second: float, burst: int, keys: int = 1000) -> None:
        self._per_second, self._burst, self._most = per_second, burst, keys
        self._left = OrderedDict[str, tuple[float, float]]()

    def take(self, key: str) -> None:
        """Count one request. Raises TooMany, which says when to come again."""
        now = monotonic()
        left, since = self._left.pop(key, (float(self._burst), now))
        left = min(self._burst, left + (now - since) * self._per_second)
        self._left[key] = (max(left - 1, 0) if left >= 1 else left, now)
        if len(self._left) > self._most:
            self._left.popitem(last=False)
        if left < 1:
            raise TooMany(ceil((1 - left) / self._per_second))
