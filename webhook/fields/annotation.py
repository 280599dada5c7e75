"""The declaration of an annotation: its name, the values that it takes, its default and its meaning."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotation under the prefix, or one key of an entry of `models`."""

    name: str
    allowed: str
    """What may stand there; completes "write …"."""
    meaning: str
    parse: Callable[[str], Any]
    """The value of its text. Raises ValueError."""
    default: str = ""
    """What holds where it is absent, in words. Empty: the setting named below, or nothing."""
    setting: str = ""
    """The path of the setting that holds its default, such as `fetch.timeout`."""
    without: str = ""
    """The name of an annotation that it excludes."""
    is_list: bool = False
    """Whether an entry of `models` may hold a YAML list in place of text with commas."""
    is_per_model: bool = True
    """Whether it describes a model, and not the pod: then an entry of `models` may hold it."""

    @property
    def key(self) -> str:
        """Its name in an entry of `models`."""
        return key_of(self.name)

    @property
    def field(self) -> str:
        """Its name as a field of a strategy's options."""
        return self.name.replace("-", "_")

    @property
    def default_in_words(self) -> str:
        """What holds where it is absent."""
        return self.default or (f"the setting {self.setting}" if self.setting else "")


def key_of(name: str) -> str:
    """An annotation's name as a key of an entry of `models`: `mountPath` for `mount-path`."""
    first, *rest = name.split("-")
    return first + "".join(part.capitalize() for part in rest)
