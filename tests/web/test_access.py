"""What the API server is asked about previews, what its answers mean, and for how long they hold."""

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from cachetools import TTLCache

from tests.support.api_server import ApiServer, running_api_server
from tests.support.clock import Clock
from webhook.http.errors import TooManyRequests
from webhook.web import access
from webhook.web.access import ClusterAccess, NotAllowed, NotAuthenticated

HOST = "192.0.2.1"


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    with running_api_server() as api:
        api.connect(tmp_path, monkeypatch)
        api.users = {"t": ("ann", "")}
        api.rights = {("ann", "apps")}
        yield api


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the cache and of the limit for unknown tokens."""
    clock = Clock()
    monkeypatch.setattr(access, "TTLCache", partial(TTLCache, timer=clock))
    monkeypatch.setattr("webhook.http.limits.monotonic", clock)
    return clock


async def check(cluster: ClusterAccess, namespace: str = "apps") -> None:
    await cluster.check(await cluster.user("Bearer t", HOST), {namespace})


def test_answers_are_remembered_for_seconds_and_no_longer(api: ApiServer, clock: Clock) -> None:
    async def steps() -> None:
        cluster = ClusterAccess()
        for later in (0, 9.9, 0):
            clock.now += later
            await check(cluster)
        assert [kind for kind, _ in api.reviews] == ["TokenReview", "SubjectAccessReview"]
        clock.now += 0.2
        await check(cluster)
        assert len(api.reviews) == 4
        clock.now += 10.1
        api.rights.clear()
        with pytest.raises(NotAllowed):
            await check(cluster)
        clock.now += 10.1
        api.users.clear()
        with pytest.raises(NotAuthenticated):
            await check(cluster)

    asyncio.run(steps())


def test_a_refusal_is_remembered_as_well_and_not_for_ever(api: ApiServer, clock: Clock) -> None:
    async def steps() -> None:
        cluster = ClusterAccess()
        for _ in range(3):
            with pytest.raises(NotAllowed, match="ann may not create pods in other"):
                await check(cluster, "other")
        assert len(api.reviews) == 2
        api.rights.add(("ann", "other"))
        clock.now += 10.1
        await check(cluster, "other")

    asyncio.run(steps())


def test_a_client_that_guesses_tokens_has_to_wait_and_can_use_known_ones(api: ApiServer, clock: Clock) -> None:
    async def steps() -> None:
        cluster = ClusterAccess()
        await check(cluster)
        for number in range(20):
            with pytest.raises(NotAuthenticated):
                await cluster.user(f"Bearer guess-{number}", HOST)
        asked = len(api.reviews)
        for _ in range(2):
            with pytest.raises(TooManyRequests, match="try again in 1 s"):
                await cluster.user("Bearer guess", HOST)
            await check(cluster)
            clock.now += 0.4
        assert len(api.reviews) == asked
        clock.now += 0.1
        with pytest.raises(NotAuthenticated):
            await cluster.user("Bearer guess", HOST)

    asyncio.run(steps())


@pytest.mark.usefixtures("clock")
def test_a_client_with_many_valid_tokens_does_not_guess(api: ApiServer) -> None:
    """Many users may have the same address, such as a proxy's."""
    tokens = [f"user-{number}" for number in range(40)]
    api.users = dict.fromkeys(tokens, ("ann", ""))

    async def steps() -> None:
        cluster = ClusterAccess()
        for token in tokens:
            assert (await cluster.user(f"Bearer {token}", HOST)).username == "ann"

    asyncio.run(steps())


def test_one_authorizers_denial_outweighs_anothers_permission(api: ApiServer) -> None:
    api.denied.add("ann")
    with pytest.raises(NotAllowed):
        asyncio.run(check(ClusterAccess()))


def test_a_token_for_our_audience_has_to_be_found_good_for_it(api: ApiServer) -> None:
    """API servers that know nothing of audiences leave them out of their answer."""
    token = "e30.eyJhdWQiOiJtb2RlbC1pbmplY3RvciJ9.c2ln"  # noqa: S105 - {"aud": "model-injector"}, of nobody
    api.users = {token: ("ann", "model-injector")}

    async def ask() -> str:
        return (await ClusterAccess().user(f"Bearer {token}", HOST)).username

    assert asyncio.run(ask()) == "ann"
    assert api.reviews[-1][1]["audiences"] == ["model-injector"]
    api.audiences = []
    with pytest.raises(NotAuthenticated):
        asyncio.run(ask())
