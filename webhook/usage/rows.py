"""Uses as rows for people: one for each workload, version, strategy and state."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

import msgspec

from webhook.catalog.resolution import VersionKey
from webhook.catalog.versions import OrderKey, order
from webhook.usage.uses import State, Usage, Use, withdrawn_reason

STRONGEST_FIRST: Final[tuple[State, ...]] = ("running", "pinned", "history")


class UsageRow(msgspec.Struct, frozen=True):
    """What a workload has of a version."""

    model: str
    version: str
    strategy: str
    """Empty if it is chosen when a pod is created."""
    uri: str
    """Empty if the source that a template names is not configured."""
    namespace: str
    kind: str
    """The workload's kind; Pod for a pod without a workload."""
    workload: str
    pods: tuple[str, ...]
    since: datetime | None
    """When the oldest of these pods was started; without pods, when the template was written, if that is known."""
    state: State
    """A running version is also pinned in most cases, and in the history: the first of these that holds."""
    withdrawn: str | None
    """The reason why the version was withdrawn. None if it was not."""


def rows(usage: Usage, withdrawn: Mapping[VersionKey, str]) -> list[UsageRow]:
    """The rows, ordered by model, version, namespace and workload. `withdrawn`: reasons by version."""
    versions = defaultdict[tuple[object, ...], list[Use]](list)
    for use in usage.uses:
        versions[use.workload, use.used.model, use.used.version, use.used.uri].append(use)
    found = [row for uses in versions.values() for row in _rows(uses, withdrawn)]
    return sorted(found, key=_order)


def _rows(uses: Iterable[Use], withdrawn: Mapping[VersionKey, str]) -> Iterable[UsageRow]:
    by_state = defaultdict[State, dict[str, list[Use]]](lambda: defaultdict(list))
    for use in uses:
        by_state[use.state][use.used.strategy].append(use)
    state = next(state for state in STRONGEST_FIRST if state in by_state)
    for strategy, same in by_state[state].items():
        used, workload = same[0].used, same[0].workload
        yield UsageRow(
            model=used.model,
            version=used.version,
            strategy=strategy,
            uri=used.uri,
            namespace=workload.namespace,
            kind=workload.kind,
            workload=workload.name,
            pods=tuple(sorted(use.pod for use in same if use.pod)),
            since=min((use.since for use in same if use.since), default=None),
            state=state,
            withdrawn=withdrawn_reason(used, withdrawn),
        )


def _order(row: UsageRow) -> tuple[object, ...]:
    key: OrderKey | None = order(row.version)
    return (
        row.model,
        key is None,
        key or (),
        row.version,
        row.namespace,
        row.workload,
        row.kind,
        row.state,
        row.strategy,
    )
