"""What is declared about a way, and the estimates that ways share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from webhook.advice.situation import IMAGE_COPIES, Names, Platform, Situation, Store


@dataclass(frozen=True)
class Estimate:
    """How long a way takes until a starting replica has read, or can read from its node, each byte of the model.

    What every way has in common is left out: a new node, the scheduler, the application's own image and start.
    """

    cold: int
    """Seconds when all replicas start at once, on nodes that do not have the model."""
    warm: int
    """Seconds when one more replica starts on a node that another has started on."""
    amount: int
    """The bytes that pass the bottleneck of a cold start."""
    rate: int
    """The bytes a second of the bottleneck. 0: there is none, because the files are there already."""
    bottleneck: str
    transfer: int
    """The bytes that all replicas together read from S3, a registry, a snapshot or a file system in a cold start."""


@dataclass(frozen=True)
class Assessment:
    """What a way means in a situation."""

    estimate: Estimate
    once: tuple[str, ...]
    """What somebody does to introduce the way."""
    each_version: tuple[str, ...]
    """What somebody, or a pipeline, does for each version."""
    stored: Mapping[Store, int]
    """Bytes that are stored all the time."""
    excluded: str | None = None
    """Why the way is impossible, and what would make it possible."""
    unchecked: tuple[str, ...] = ()
    """What the way needs, and the situation does not tell."""
    trade_offs: tuple[str, ...] = field(kw_only=True)


@dataclass(frozen=True)
class Way:
    """A way to deliver a model."""

    name: str
    """On Kubernetes, the value of the annotation `strategy`, except for `application-image`."""
    summary: str
    platforms: tuple[Platform, ...]
    assess: Callable[[Situation], Assessment]
    commands: Callable[[Situation, Names], tuple[str, ...]]
    """The commands that introduce it for one version. Words in capitals stand for what the user knows."""


def seconds(amount: int, rate: int) -> int:
    """The time that a transfer takes, rounded up."""
    return -(-amount // rate)


def download(situation: Situation) -> Estimate:
    """Each replica writes a copy of its own to its node's disk."""
    rate, bottleneck = min(
        (situation.node_bandwidth, "the node's network"), (situation.disk_bandwidth, "the node's disk")
    )
    amount = situation.bytes * situation.replicas_per_node
    return Estimate(
        cold=seconds(amount, rate),
        warm=seconds(situation.bytes, rate),
        amount=amount,
        rate=rate,
        bottleneck=bottleneck,
        transfer=situation.bytes * situation.replicas,
    )


def reading(situation: Situation) -> Estimate:
    """Each replica reads over its node's network, and nothing is kept on the node."""
    amount, rate = situation.bytes * situation.replicas_per_node, situation.node_bandwidth
    return Estimate(
        cold=seconds(amount, rate),
        warm=seconds(situation.bytes, rate),
        amount=amount,
        rate=rate,
        bottleneck="the node's network",
        transfer=situation.bytes * situation.replicas,
    )


def shared_reading(situation: Situation) -> Estimate:
    """As `reading`, from a file system whose throughput all replicas share."""
    by_node, transfer = reading(situation), situation.bytes * situation.replicas
    by_storage = seconds(transfer, situation.shared_bandwidth)
    warm = seconds(situation.bytes, min(situation.node_bandwidth, situation.shared_bandwidth))
    if by_node.cold >= by_storage:
        return Estimate(by_node.cold, warm, by_node.amount, by_node.rate, by_node.bottleneck, transfer)
    return Estimate(by_storage, warm, transfer, situation.shared_bandwidth, "the shared file system", transfer)


def image_pull(situation: Situation) -> Estimate:
    """Each node pulls an image once, and writes each byte several times."""
    transfer, written = situation.bytes * situation.nodes, situation.bytes * situation.image_passes
    by_network = seconds(situation.bytes, situation.node_bandwidth)
    by_disk = seconds(written, situation.disk_bandwidth)
    if by_network > by_disk:
        return Estimate(by_network, 0, situation.bytes, situation.node_bandwidth, "the node's network", transfer)
    return Estimate(by_disk, 0, written, situation.disk_bandwidth, "the node's disk", transfer)


def kept(situation: Situation) -> int:
    """The bytes of all versions that are stored at a time."""
    return situation.bytes * situation.versions_kept


def on_nodes_as_image(situation: Situation) -> int:
    """The bytes that the image of one version takes up on all nodes."""
    return situation.bytes * situation.nodes * IMAGE_COPIES


def releases(situation: Situation) -> tuple[str, ...]:
    """The step that ways outside the application's image need if versions of code and model belong together."""
    return ("write the model's version into the release of the code",) if situation.coupling == "tight" else ()
