"""Situations for tests: the defaults of the command, and what a test changes."""

from typing import Any

from webhook.advice.inputs import INPUTS
from webhook.advice.situation import Situation

GIB = 1 << 30
MIB = 1 << 20


def situation(**changes: Any) -> Situation:
    """14 GiB on one node, with everything else as the command assumes it."""
    values: dict[str, Any] = {entry.name: entry.default and entry.parsed(entry.default) for entry in INPUTS}
    values = {**values, "bytes": 14 * GIB, **changes}
    values["nodes"] = values["nodes"] or -(-values["replicas"] // values["replicas_per_node"])
    return Situation(**values)
