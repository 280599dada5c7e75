"""The inputs of an advice: what each means, how it is written, its default, and the question that asks for it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, get_args

from webhook.advice.situation import IMAGE_PASSES, Connectivity, Coupling, Environment, Platform, Store
from webhook.errors import InvalidInput, shown
from webhook.fields.parsers import duration, one_of, subdomain
from webhook.kubernetes.quantities import parse_quantity

_LARGEST: Final = 1 << 50
_NUMBER: Final = re.compile(r"\d{1,4}(\.\d{1,4})?", re.ASCII)
_PRICE: Final = re.compile(r"([a-z-]{1,20})=(\d{1,6}(?:\.\d{1,6})?)", re.ASCII)
_VERSION: Final = re.compile(r"v?1\.(\d{1,3})(?:[.+-][A-Za-z0-9.+-]{0,100})?", re.ASCII)
_MOST_DRIVERS: Final = 500


def size(text: str) -> int:
    """The bytes of `140Gi`, `140GiB` or `14GB`: from 1 byte to 1 PiB. Raises ValueError."""
    value = parse_quantity(text.removesuffix("B"))
    if not 1 <= value <= _LARGEST:
        raise ValueError(text)
    return int(value.to_integral_value(rounding="ROUND_CEILING"))


def rate(text: str) -> int:
    """The bytes a second of `125MiB/s`, `125Mi` or `5Gbit/s`. Raises ValueError."""
    bits = text.removesuffix("bit/s")
    return max(1, size(bits) // 8) if bits != text else size(text.removesuffix("/s"))


def _count(lowest: int, highest: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 10 and lowest <= int(text) <= highest):
            raise ValueError(text)
        return int(text)

    return parse


def _frequency(text: str) -> float:
    if not _NUMBER.fullmatch(text) or float(text) > 1000:
        raise ValueError(text)
    return float(text)


def kubernetes_minor(text: str) -> int:
    """The 35 of `1.35`, `v1.35.2` or `v1.35.2-eks-1a2b3c`. Raises ValueError."""
    match = _VERSION.fullmatch(text)
    if not match:
        raise ValueError(text)
    return int(match[1])


def _drivers(text: str) -> tuple[str, ...]:
    names = () if text == "none" else tuple(subdomain(name.strip()) for name in text.split(","))
    if len(names) > _MOST_DRIVERS:
        raise ValueError(text)
    return tuple(sorted(set(names)))


def price(text: str) -> tuple[str, float]:
    """The kind and the amount of `bucket=0.02`. Raises ValueError."""
    match = _PRICE.fullmatch(text)
    if not match:
        raise ValueError(text)
    return one_of(*STORES)(match[1]), float(match[2])


STORES: Final[tuple[Store, ...]] = get_args(Store)
PRICE: Final = f"a kind of storage and a price, such as bucket=0.02; the kinds are {', '.join(STORES)}"


@dataclass(frozen=True)
class Input:
    """An input that one flag gives. `name` is the field of the Situation."""

    name: str
    flag: str
    metavar: str
    meaning: str
    allowed: str
    """The values, for messages: "… is not …"."""
    parse: Callable[[str], Any]
    default: str | None = None
    """As the user would write it. None: there is none, and `nodes` and what is read from a cluster stay unknown."""
    question: str | None = None
    """What is asked on a terminal. None: it is not asked."""

    def parsed(self, text: str) -> Any:
        """The value of what a user wrote. Raises InvalidInput."""
        try:
            return self.parse(text.strip())
        except ValueError as error:
            raise InvalidInput(f"{self.flag} {shown(text)} is not {self.allowed}") from error


def _choice(name: str, choices: tuple[str, ...], meaning: str, question: str) -> Input:
    """An input with the first of the choices as its default."""
    words = " or ".join(choices)
    return Input(
        name, f"--{name}", "|".join(choices), meaning, words, one_of(*choices), choices[0], f"{question} ({words})"
    )


def _rate(name: str, meaning: str, default: str) -> Input:
    allowed = "a number of bytes or bits a second, such as 125MiB/s or 5Gbit/s"
    return Input(name, f"--{name.replace('_', '-')}", "RATE", meaning, allowed, rate, default)


INPUTS: Final = (
    _choice("platform", get_args(Platform), "where the application runs", "Where does it run?"),
    _choice("environment", get_args(Environment), "what it runs for", "What for?"),
    Input(
        "bytes",
        "--size",
        "SIZE",
        "the size of one version; default: the size that the catalog knows",
        "a size of at most 1Pi, such as 140Gi or 14GB",
        size,
        question="How large is one version? (such as 140Gi or 14GB)",
    ),
    Input(
        "versions_a_month",
        "--updates",
        "NUMBER",
        "new versions a month",
        "a number from 0 to 1000, such as 4 or 0.5",
        _frequency,
        "1",
        "How many new versions are there in a month?",
    ),
    Input(
        "replicas",
        "--replicas",
        "NUMBER",
        "replicas of the application",
        "a whole number from 1 to 100000",
        _count(1, 100_000),
        "1",
        "How many replicas run?",
    ),
    Input(
        "replicas_per_node",
        "--replicas-per-node",
        "NUMBER",
        "replicas on one node, or on one Docker host",
        "a whole number from 1 to 1000",
        _count(1, 1000),
        "1",
        "How many of them share a node?",
    ),
    Input(
        "target_seconds",
        "--start-target",
        "DURATION",
        "how long the model may take to be available to a replica that starts",
        "a duration of at most a week, such as 30s or 2m",
        duration,
        "2m",
        "How long may the model take at the start of a replica?",
    ),
    _choice(
        "coupling",
        get_args(Coupling),
        "tight: each version of the model is released with a version of the code",
        "Are versions of code and model released independently, or together?",
    ),
    _choice(
        "connectivity",
        get_args(Connectivity),
        "what a starting node can reach: S3 and a registry, a registry only, or neither",
        "What can a starting node reach: S3 and a registry, a registry only, or neither?",
    ),
    Input(
        "nodes",
        "--nodes",
        "NUMBER",
        "nodes that run replicas; default: replicas divided by replicas a node",
        "a whole number from 1 to 100000",
        _count(1, 100_000),
    ),
    Input(
        "versions_kept",
        "--versions-kept",
        "NUMBER",
        "versions that are stored at a time, those to roll back to included",
        "a whole number from 1 to 10000",
        _count(1, 10_000),
        "2",
    ),
    Input(
        "kubernetes_minor",
        "--kubernetes-version",
        "VERSION",
        "the cluster's version; default: what --cluster reads",
        "a version such as 1.35",
        kubernetes_minor,
    ),
    Input(
        "csi_drivers",
        "--csi-drivers",
        "NAMES",
        "the cluster's CSI drivers, comma-separated, or none; default: what --cluster reads",
        "none, or names of CSI drivers such as s3.csi.aws.com,efs.csi.aws.com",
        _drivers,
    ),
    _rate(
        "node_bandwidth",
        "what one node reads from S3, a registry or a file system in a second",
        "5Gbit/s",
    ),
    _rate("disk_bandwidth", "what one node's disk writes in a second", "125MiB/s"),
    _rate(
        "shared_bandwidth",
        "what all nodes together read from a shared file system in a second",
        "512MB/s",
    ),
    _rate("snapshot_rate", "what a volume reads from its snapshot in a second", "300MiB/s"),
    Input(
        "image_passes",
        "--image-passes",
        "NUMBER",
        "how often a pull writes each byte of an image",
        "a whole number from 1 to 10",
        _count(1, 10),
        str(IMAGE_PASSES),
    ),
    Input(
        "layer_limit",
        "--layer-limit",
        "SIZE",
        "the largest layer that the registry takes",
        "a size of at most 1Pi, such as 52000Mi",
        size,
        "52000Mi",
    ),
)
