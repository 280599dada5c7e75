"""Who waits for whose download."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from webhook.node_cache.credentials import PodIdentity
from webhook.node_cache.entry import Marker
from webhook.node_cache.folder import CacheFolder
from webhook.node_cache.metrics import CacheMetrics
from webhook.node_cache.protocol import Found, Volume
from webhook.node_cache.publisher import Publisher
from webhook.node_cache.refusals import Refused
from webhook.node_cache.worker_client import WorkerClient
from webhook.settings import Settings

KEY = "0badc0de"
SETTINGS = Settings(bucket="my-bucket", strategies={"node-cache": {"budget": "1Gi"}})
MARKER = Marker("default", "my-model", "1.0.0", "s3://my-bucket/my-model-1.0.0", "0" * 64, 1, 1, 1.0, "size", "")


def volume(account: str | None) -> Volume:
    pod = PodIdentity("team-a", account, {}) if account else None
    return Volume("default", "my-model", "1.0.0", "", "", "size", pod)


class Bucket(WorkerClient):
    """A worker for a bucket whose listing everybody may read, and whose files these accounts."""

    def __init__(self, folder: CacheFolder, *accounts: str) -> None:
        super().__init__(folder.root, SETTINGS, None)
        self.cache, self.accounts, self.asked = folder, accounts, list[str | None]()

    async def look(self, volume: Volume) -> Found:  # noqa: ARG002
        return Found(0, KEY, "0" * 64, 1, 1)

    async def fetch(self, volume: Volume, key: str, progress: Callable[[int, int], None]) -> int:  # noqa: ARG002
        account = volume.pod.service_account if volume.pod else None
        self.asked.append(account)
        await asyncio.sleep(0)  # the others join here
        if account not in self.accounts:
            raise Refused("Unauthorized", "AccessDenied")
        self.cache.partial(key)
        self.cache.finish(key, MARKER)
        return 0


async def ask(worker: Bucket, *accounts: str | None) -> list[object]:
    publisher = Publisher(worker.cache, worker, SETTINGS, CacheMetrics())
    return await asyncio.gather(*(publisher.fetch(volume(each)) for each in accounts), return_exceptions=True)


def test_who_may_read_a_version_gets_it_although_the_one_who_asked_first_may_not(tmp_path: Path) -> None:
    worker = Bucket(CacheFolder(tmp_path), "reader")
    first, second = asyncio.run(ask(worker, None, "reader"))
    assert isinstance(first, Refused)
    assert second == KEY
    assert worker.asked == [None, "reader"]


def test_who_joins_a_download_of_its_own_account_does_not_ask_again(tmp_path: Path) -> None:
    worker = Bucket(CacheFolder(tmp_path))
    found = asyncio.run(ask(worker, "stranger", "stranger"))
    assert [each.reason for each in found if isinstance(each, Refused)] == ["Unauthorized"] * 2
    assert worker.asked == ["stranger"]


@pytest.mark.parametrize("number", [2, 10])
def test_all_who_wait_get_one_download(number: int, tmp_path: Path) -> None:
    worker = Bucket(CacheFolder(tmp_path), "reader")
    assert asyncio.run(ask(worker, *["reader"] * number)) == [KEY] * number
    assert worker.asked == ["reader"]
