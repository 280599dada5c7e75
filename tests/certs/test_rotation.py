"""What the Secret should hold next, for each state that it can be in."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from certs import Authority
from certs.rotation import Authorities, successor
from certs.trust import parse_bundle

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LIFETIME = timedelta(days=90)
DAY = timedelta(days=1)


def step(
    held: Authorities,
    now: datetime = NOW,
    *,
    published: bytes | None = None,
    settled: bool = False,
    issuer: x509.Certificate | None = None,
) -> Authorities:
    """One pass of a replica; without `published`, the entries have what the Secret says."""
    bundle = held.bundle if published is None else published
    return successor(
        held,
        parse_bundle(bundle),
        now,
        is_settled=settled,
        create=lambda: Authority.create(LIFETIME, now),
        issuer=issuer,
    )


def first() -> Authorities:
    return step(Authorities())


def test_the_first_authority_signs_at_once_for_nobody_trusts_another() -> None:
    state = first()
    assert state.signing
    assert state.upcoming is None
    assert state.trusted == (state.signing.parsed,)


@pytest.mark.parametrize("days", [0, 1, 30, 59])
def test_what_is_right_stays_as_it_is(days: int) -> None:
    state = first()
    assert step(state, NOW + days * DAY) == state


def test_a_new_authority_is_published_beside_the_old_before_it_signs() -> None:
    old = first()
    due = NOW + 61 * DAY
    waiting = step(old, due)
    assert waiting.signing == old.signing
    assert waiting.upcoming
    assert waiting.trusted == (old.trusted[0], waiting.upcoming.parsed)
    assert step(waiting, due) == waiting
    after = step(waiting, due, settled=True)
    assert after.signing == waiting.upcoming
    assert after.upcoming is None
    assert after.trusted == waiting.trusted


def test_an_authority_that_was_replaced_is_trusted_until_it_expires() -> None:
    old = first()
    due = NOW + 61 * DAY
    after = step(step(old, due), due, settled=True)
    assert old.trusted[0] in step(after, NOW + 89 * DAY).trusted
    assert after.signing
    assert step(after, NOW + 91 * DAY).trusted == (after.signing.parsed,)


def test_a_deleted_secret_makes_a_new_authority_that_waits_for_the_old_ones_clients() -> None:
    old = first()
    waiting = step(Authorities(), published=old.bundle)
    assert waiting.signing is None
    assert waiting.upcoming
    assert waiting.trusted == (*old.trusted, waiting.upcoming.parsed)
    assert step(waiting) == waiting
    after = step(waiting, settled=True)
    assert after.signing == waiting.upcoming
    assert after.trusted == waiting.trusted


@pytest.mark.parametrize("key", ["tls.crt", "tls.key"])
@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"]
)
def test_a_spoiled_authority_is_replaced_and_stays_trusted(key: str, content: bytes) -> None:
    old = first()
    spoiled = Authorities.parse({**old.data(), key: content})
    assert spoiled.signing is None
    waiting = step(spoiled, published=old.bundle)
    assert waiting.upcoming
    assert waiting.trusted == (*old.trusted, waiting.upcoming.parsed)


def test_an_authority_with_the_key_of_another_is_replaced() -> None:
    old, other = first(), first()
    assert other.signing
    mixed = Authorities.parse({**old.data(), "tls.key": other.signing.key})
    assert mixed.signing is None


def test_a_leaf_in_the_authoritys_place_is_replaced() -> None:
    leaf = Authority.create().issue(["localhost"])
    assert Authorities.parse({"tls.crt": leaf.certificate, "tls.key": leaf.key}).signing is None


@pytest.mark.parametrize("content", [b"", b"nonsense"])
def test_a_spoiled_bundle_is_made_again_from_what_the_entries_have(content: bytes) -> None:
    old = first()
    due = NOW + 61 * DAY
    after = step(step(old, due), due, settled=True)
    spoiled = Authorities.parse({**after.data(), "ca.crt": content})
    assert spoiled.trusted == ()
    assert step(spoiled, due, published=after.bundle).trusted == after.trusted


def test_a_stranger_in_the_entries_is_not_taken_over() -> None:
    state, stranger = first(), first()
    assert step(state, published=state.bundle + stranger.bundle) == state
    assert step(state, published=b"") == state


@pytest.mark.parametrize("jump", [timedelta(days=400), timedelta(days=-400)])
def test_where_the_clusters_clock_jumps_out_of_the_authoritys_life_a_new_one_signs_at_once(jump: timedelta) -> None:
    """Nobody trusts the old one any more, or yet: there is nothing to wait for."""
    old = first()
    after = step(old, NOW + jump)
    assert after.signing
    assert after.signing != old.signing
    assert after.signing.parsed in after.trusted


def test_a_clock_that_comes_back_finds_authorities_that_it_can_use() -> None:
    old = first()
    ahead = step(old, NOW + 400 * DAY)
    back = step(ahead, NOW)
    assert back.signing
    assert back.signing.parsed.not_valid_before_utc < NOW
    assert step(back, NOW) == back


def test_the_bundle_stays_small_however_often_the_secret_is_deleted() -> None:
    published = first().bundle
    for _ in range(20):
        state = step(step(Authorities(), published=published), published=published, settled=True)
        assert state.signing is None or state.signing.parsed in state.trusted
        published = state.bundle
    assert len(parse_bundle(published)) == 6


def test_who_issued_what_is_served_is_never_crowded_out_of_the_bundle() -> None:
    state = first()
    (issuer,) = state.trusted
    for _ in range(20):
        state = step(Authorities(), published=state.bundle, issuer=issuer)
        assert issuer in state.trusted
    assert len(state.trusted) == 6


def test_an_authority_whose_key_is_out_goes_at_once_with_the_secret_and_the_bundles() -> None:
    """Whether or not a replica has read the Secret in between."""
    old = first()
    waiting = step(Authorities(), published=old.bundle)
    for held in (Authorities(), waiting):
        after = step(held, published=b"")
        assert after.signing
        assert after.trusted == (after.signing.parsed,)
        assert step(after) == after


def test_data_and_back_is_the_same() -> None:
    state = step(first(), NOW + 61 * DAY)
    assert state.upcoming
    assert Authorities.parse(state.data()) == state
    assert Authorities.parse(replace(state, upcoming=None).data()).upcoming is None


def test_no_key_shows() -> None:
    state = step(first(), NOW + 61 * DAY)
    assert "PRIVATE" not in repr(state)
