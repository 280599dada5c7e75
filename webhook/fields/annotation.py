"""The declaration of an annotation: its name, its allowed values, its default and its meaning."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotation under the prefix, or one key of an entry of `models`."""

    name: str
    allowed: str
    """The allowed values, in words that complete "write …"."""
    meaning: str
    """What it does, in words. Printed in docs/annotations.md."""
    parse: Callable[[str], Any]
    """Parses the text of the annotation. Raises ValueError."""
    default: str = ""
    """The default, in words. Empty: `setting` holds the default, or there is none."""
    setting: str = ""
    """The path of the setting that holds the default, such as `fetch.timeout`."""
    without: str = ""
    """The name of an annotation that cannot be used together with this one."""
    is_list: bool = False
    """Whether an entry of `models` may have a YAML list instead of comma-separated text."""
    is_per_model: bool = True
    """Whether an entry of `models` may have it: it describes a model, not the pod."""

    @property
    def key(self) -> str:
        """The name in an entry of `models`: `mountPath` for `mount-path`."""
        return key_of(self.name)

    @property
    def field(self) -> str:
        """The name as a field of a strategy's options: `mount_path` for `mount-path`."""
        return self.name.replace("-", "_")

    @property
    def default_in_words(self) -> str:
        """The default, or the setting that holds it."""
        return self.default or (f"the setting {self.setting}" if self.setting else "")


def key_of(name: str) -> str:
    """An annotation's name as a key of an entry of `models`: `mountPath` for `mount-path`."""
    first, *rest = name.split("-")
    return first + "".join(part.capitalize() for part in rest)
