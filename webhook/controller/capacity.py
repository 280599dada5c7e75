"""The storage that loads request, and which versions have room for their claims."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from webhook.controller.observed import Claim, Cluster, Key
from webhook.controller.states import URI, root
from webhook.controller.steps import CLAIMS
from webhook.controller.wants import Want, manifests, namespaces_of, newness
from webhook.errors import InvalidInput
from webhook.fields.globs import matches
from webhook.kubernetes.quantities import parse_quantity
from webhook.model.objects import claim_name
from webhook.settings import Load, Settings


class Capacity(msgspec.Struct, frozen=True):
    """The storage of a load, in bytes."""

    name: str
    """The load: its place in the settings, and its strategy."""
    requested: Decimal
    limit: Decimal | None


def capacities(
    wants: Sequence[Want], cluster: Cluster, settings: Settings, problems: list[str]
) -> tuple[tuple[Capacity, ...], set[Want]]:
    """The capacity of each load, and what does not fit yet. The newest versions come first."""
    homes = {key: want for want in wants for key in _homes(want, cluster, settings)}
    requested = _requested(homes, cluster, settings)
    missing = defaultdict[Want, Decimal](Decimal)
    for key, want in homes.items():
        if key not in cluster.claims:
            missing[want] += _needed(want, key[0], settings)
    found, waiting = list[Capacity](), set[Want]()
    for index, load in enumerate(settings.loads):
        if load.strategy != "shared-volume":
            continue
        total, limit = requested[index], parse_quantity(load.capacity) if load.capacity else None
        is_full = False
        for want in sorted((each for each in missing if each.index == index), key=newness, reverse=True):
            needed = missing[want]
            is_full = is_full or (limit is not None and needed <= limit < total + needed)
            if limit is None or (needed <= limit and not is_full):
                total += needed
                continue
            waiting.add(want)
            problems.append(
                f"{want.artifact.uri} waits: it needs {needed:.0f} bytes, and loads[{index}] has "
                f"{max(limit - total, Decimal(0)):.0f} of {limit:.0f} left"
            )
        found.append(Capacity(f"{index} {load.strategy}", total, limit))
    return tuple(found), waiting


def _homes(want: Want, cluster: Cluster, settings: Settings) -> list[Key]:
    """The claims into which Jobs load a version."""
    if want.load.strategy != "shared-volume":
        return []
    name = claim_name(want.load.strategy, want.artifact)
    options = settings.of_strategies[want.load.strategy]
    if options.sharing == "trident":
        return [(options.namespace, name)]
    return [(namespace, name) for namespace in namespaces_of(want.load, cluster)]


def _requested(homes: Mapping[Key, Want], cluster: Cluster, settings: Settings) -> Mapping[int, Decimal]:
    """The storage that the claims of each load request, in bytes, also those of versions that it selected earlier."""
    requested = defaultdict[int, Decimal](Decimal)
    for key, claim in cluster.claims.items():
        formers = (index for index, load in enumerate(settings.loads) if _is_former(claim, load, settings))
        index = homes[key].index if key in homes else next(formers, None)
        if index is not None:
            requested[index] += parse_quantity(claim.requested)
    return requested


def _needed(want: Want, namespace: str, settings: Settings) -> Decimal:
    try:
        objects = manifests(want.index, want.artifact, (namespace,), "load", settings)
    except InvalidInput:
        return Decimal(0)  # the version's own steps report it
    claims = (each for each in objects if each["kind"] == CLAIMS.kind)
    return sum((parse_quantity(each["spec"]["resources"]["requests"]["storage"]) for each in claims), Decimal(0))


def _is_former(claim: Claim, load: Load, settings: Settings) -> bool:
    """Whether a claim is of a version that a load selected earlier, and holds the loaded files."""
    prefix = settings.annotation_prefix
    is_consumer = "trident.netapp.io/shareFromPVC" in claim.annotations
    return (
        load.strategy == "shared-volume"
        and not is_consumer
        and claim.metadata.name.startswith(f"{load.strategy}-")
        and claim.annotations.get(f"{prefix}/{URI}", "").startswith(root(settings.all_sources[load.source]))
        and matches(claim.labels.get(f"{prefix}/model", ""), load.models)
    )
