"""Which versions make room for another."""

from collections import namedtuple
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.node_cache.budget import Held, NoRoom, Space, evictions, excess, space_of

SIZES = st.integers(0, 100)
HELD = st.lists(
    st.builds(Held, st.text("abcdefgh", min_size=1, max_size=2), SIZES, st.integers(0, 5).map(float)),
    max_size=8,
    unique_by=lambda each: each.key,
)
SPACES = st.builds(Space, st.integers(0, 300), st.integers(-100, 300))
Disk = namedtuple("Disk", "f_blocks f_frsize f_bavail")
GIB = 1 << 30


def fits(needed: int, reserved: int, held: Sequence[Held], evicted: Collection[str], space: Space) -> bool:
    """Whether the budget and the disk have room for what is needed and reserved once these are gone."""
    freed = sum(each.bytes for each in held if each.key in evicted)
    kept = sum(each.bytes for each in held) - freed
    return kept + needed + reserved <= space.budget and needed + reserved <= space.free + freed


@given(st.integers(1, 100), SIZES, HELD, st.data(), SPACES)
def test_what_is_evicted_is_enough_and_no_more(
    needed: int, reserved: int, held: list[Held], data: st.DataObject, space: Space
) -> None:
    in_use = data.draw(st.sets(st.sampled_from([each.key for each in held]))) if held else set()
    removable = [each.key for each in held if each.key not in in_use]
    try:
        evicted = evictions(needed, reserved, held, in_use, space)
    except NoRoom:
        assert not fits(needed, reserved, held, removable, space)
        return
    assert fits(needed, reserved, held, evicted, space)
    assert not evicted or not fits(needed, reserved, held, evicted[:-1], space)
    assert set(evicted) <= set(removable)


@given(HELD, st.data(), SPACES)
def test_what_is_given_back_is_enough_or_all_that_nothing_uses(
    held: list[Held], data: st.DataObject, space: Space
) -> None:
    in_use = data.draw(st.sets(st.sampled_from([each.key for each in held]))) if held else set()
    removed = excess(held, in_use, space)
    assert not set(removed) & in_use
    assert fits(0, 0, held, removed, space) or len(removed) == len(held) - len(in_use)
    assert not removed or not fits(0, 0, held, removed[:-1], space)


@given(st.integers(1, 100), HELD, st.data(), SPACES)
def test_the_least_recently_mounted_goes_first(
    needed: int, held: list[Held], data: st.DataObject, space: Space
) -> None:
    in_use = data.draw(st.sets(st.sampled_from([each.key for each in held]))) if held else set()
    try:
        evicted = evictions(needed, 0, held, in_use, space)
    except NoRoom:
        return
    used_at = {each.key: each.used_at for each in held}
    stayed = [used_at[key] for key in used_at if key not in evicted and key not in in_use]
    assert [used_at[key] for key in evicted] == sorted(used_at[key] for key in evicted)
    assert not evicted or not stayed or used_at[evicted[-1]] <= min(stayed)


@given(HELD, SPACES)
def test_what_needs_no_room_evicts_nothing_and_is_not_refused(held: list[Held], space: Space) -> None:
    assert evictions(0, 0, held, (), space) == ()


@given(HELD, SPACES)
def test_the_order_in_which_versions_are_listed_decides_nothing(held: list[Held], space: Space) -> None:
    def chosen(versions: list[Held]) -> tuple[str, ...] | None:
        try:
            return evictions(50, 0, versions, (), space)
        except NoRoom:
            return None

    assert chosen(held) == chosen(held[::-1])


def test_the_refusal_has_the_sizes() -> None:
    held = [Held("a", 6 * GIB, 1), Held("b", 2 * GIB, 2)]
    with pytest.raises(NoRoom, match=r"it has 20\.0 GiB, and the cache of this node may hold 10\.0 GiB"):
        evictions(20 * GIB, 0, held, (), Space(10 * GIB, 100 * GIB))
    with pytest.raises(NoRoom, match=r"5\.0 GiB, and 1\.0 GiB are missing: .*hold 10\.0 GiB, .* 6\.0 GiB are mounted"):
        evictions(5 * GIB, 0, held, {"a"}, Space(10 * GIB, 100 * GIB))
    with pytest.raises(NoRoom, match=r"its disk has 0\.0 GiB to spare"):
        evictions(5 * GIB, 0, held, {"a", "b"}, Space(100 * GIB, -GIB))


@pytest.mark.parametrize(
    ("budget", "bytes_"),
    [("50%", 500 * GIB), ("1%", 10 * GIB), ("100%", 1000 * GIB), ("30Gi", 30 * GIB), ("2k", 2000), ("1e3", 1000)],
)
def test_a_budget_is_a_share_of_the_disk_or_a_quantity(
    budget: str, bytes_: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.statvfs", lambda _: Disk(1000 << 18, 4096, 400 << 18))
    assert space_of(tmp_path, budget) == Space(bytes_, 250 * GIB)


def test_a_disk_that_is_too_full_has_to_give_something_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.statvfs", lambda _: Disk(1000 << 18, 4096, 100 << 18))
    space = space_of(tmp_path, "50%")
    held = [Held(key, 30 * GIB, number) for number, key in enumerate("abcd")]
    assert evictions(20 * GIB, 0, held, (), space) == ("a", "b", "c")
