"""How inputs are written, and their defaults."""

import pytest

from webhook.advice import situation
from webhook.advice.inputs import INPUTS, price
from webhook.errors import InvalidInput

BY_FLAG = {entry.flag: entry for entry in INPUTS}


@pytest.mark.parametrize(
    ("flag", "text", "value"),
    [
        ("--size", "140Gi", 140 << 30),
        ("--size", "140GiB", 140 << 30),
        ("--size", "14GB", 14_000_000_000),
        ("--size", " 1.5k ", 1500),
        ("--size", "1", 1),
        ("--size", "1Pi", 1 << 50),
        ("--updates", "0", 0),
        ("--updates", "0.5", 0.5),
        ("--updates", "1000", 1000),
        ("--replicas", "100000", 100_000),
        ("--start-target", "30s", 30),
        ("--start-target", "2m", 120),
        ("--connectivity", "none", "none"),
        ("--node-bandwidth", "5Gbit/s", 625_000_000),
        ("--node-bandwidth", "125MiB/s", 125 << 20),
        ("--node-bandwidth", "125Mi", 125 << 20),
        ("--node-bandwidth", "4bit/s", 1),
        ("--kubernetes-version", "1.35", 35),
        ("--kubernetes-version", "v1.35.2-eks-1a2b3c", 35),
        ("--csi-drivers", "none", ()),
        ("--csi-drivers", "s3.csi.aws.com, efs.csi.aws.com,s3.csi.aws.com", ("efs.csi.aws.com", "s3.csi.aws.com")),
    ],
)
def test_a_value_is_read(flag: str, text: str, value: object) -> None:
    assert BY_FLAG[flag].parsed(text) == value


@pytest.mark.parametrize(
    ("flag", "text"),
    [
        ("--size", ""),
        ("--size", "0"),
        ("--size", "0.1"),
        ("--size", "-1Gi"),
        ("--size", "14 gigabytes"),
        ("--size", "2Pi"),
        ("--size", "9" * 5000),
        ("--updates", "-1"),
        ("--updates", "1000.1"),
        ("--updates", "nan"),
        ("--updates", "1e3"),
        ("--replicas", "0"),
        ("--replicas", "1.5"),
        ("--replicas", "100001"),
        ("--replicas", "٣"),
        ("--start-target", "30"),
        ("--start-target", "8d"),
        ("--connectivity", "internet"),
        ("--disk-bandwidth", "0"),
        ("--disk-bandwidth", "fast"),
        ("--image-passes", "11"),
        ("--kubernetes-version", "2.0"),
        ("--kubernetes-version", "35"),
        ("--csi-drivers", ""),
        ("--csi-drivers", "s3 csi"),
        ("--csi-drivers", ",".join(f"d{number}" for number in range(501))),
    ],
)
def test_another_value_is_refused_with_its_flag_and_an_example(flag: str, text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        BY_FLAG[flag].parsed(text)
    message = str(refused.value)
    assert message.startswith(f"{flag} '{text[:20]}")
    assert message.endswith(f"is not {BY_FLAG[flag].allowed}")
    assert len(message) < 400


@pytest.mark.parametrize("text", ["bucket", "bucket=", "bucket=-1", "tape=1", "bucket=1e9", "bucket=12345678"])
def test_a_price_is_a_known_kind_and_a_plain_number(text: str) -> None:
    with pytest.raises(ValueError, match=text[:4]):
        price(text)


def test_defaults_are_the_figures_with_a_source() -> None:
    defaults = {name: BY_FLAG[name].parsed(BY_FLAG[name].default or "") for name in BY_FLAG if BY_FLAG[name].default}
    assert defaults["--node-bandwidth"] == situation.NODE_BANDWIDTH
    assert defaults["--disk-bandwidth"] == situation.DISK_BANDWIDTH
    assert defaults["--shared-bandwidth"] == situation.SHARED_BANDWIDTH
    assert defaults["--snapshot-rate"] == situation.SNAPSHOT_RATE
    assert defaults["--image-passes"] == situation.IMAGE_PASSES
    assert defaults["--layer-limit"] == situation.LAYER_LIMIT


def test_inputs_are_the_fields_of_a_situation() -> None:
    assert {entry.name for entry in INPUTS} == set(situation.Situation.__struct_fields__) - {"prices"}
