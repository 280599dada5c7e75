"""Two replicas of the webhook, and the Service before them: clients get the replicas that are ready."""

import asyncio
import os
import ssl
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from soak_testing.memory import Series, resident
from tests.server.auto.cluster import CONFIGURATION, HOST, bundles
from tests.support.api_server import ApiServer
from tests.support.programs import MissingProgram
from tests.support.webhook import Webhook, running_webhook

SLOTS = ("a", "b")
_LAG = 0.5
"""Seconds until a change of readiness, or of the caBundle, reaches clients."""
_STOP_SECONDS = 30


@dataclass
class Service:
    """The replicas by slot. `started` is the time.monotonic() of the soak's start."""

    folder: Path
    api: ApiServer
    settings: dict[str, Any]
    env: dict[str, str]
    started: float = field(default_factory=time.monotonic)
    replicas: dict[str, Webhook] = field(default_factory=dict)
    endpoints: list[Webhook] = field(default_factory=list)
    """The replicas that are ready, as clients know them."""
    trust: ssl.SSLContext = field(default_factory=lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    """What clients trust: the caBundle, as of a moment ago."""
    bundles: list[tuple[float, bytes]] = field(default_factory=list)
    """Each caBundle that was seen, and when."""
    memory: dict[int, Series] = field(default_factory=dict)
    """By process."""
    logs: list[Path] = field(default_factory=list)
    _stacks: dict[str, ExitStack] = field(default_factory=dict)
    _opened: list[ExitStack] = field(default_factory=list)

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    async def start(self, slot: str) -> None:
        """Start the replica of a slot, and wait until clients know it as ready. One that runs in it is stopped then."""
        name = f"{slot}{len(self.logs) + 1}"
        folder = self.folder / name
        folder.mkdir()
        self.logs.append(folder / "log")
        stack = ExitStack()
        self._opened.append(stack)
        env = {**self.env, **_faketime(self.clock(slot))}
        webhook = await asyncio.to_thread(stack.enter_context, running_webhook(folder, self.settings, env=env))
        self.memory[webhook.process.pid] = Series(name)
        old = (self.replicas[slot], self._stacks[slot]) if slot in self.replicas else None
        self.replicas[slot], self._stacks[slot] = webhook, stack
        while webhook not in self.endpoints:
            await asyncio.sleep(0.05)
        if old:
            old[0].process.terminate()
            await asyncio.to_thread(old[0].process.wait, _STOP_SECONDS)
            await _end(*old)

    async def kill(self, slot: str) -> None:
        """End the replica of a slot with SIGKILL, and start another after the time that the kubelet takes."""
        webhook, stack = self.replicas.pop(slot), self._stacks.pop(slot)
        webhook.process.kill()
        await asyncio.sleep(1)
        await _end(webhook, stack)
        await self.start(slot)

    async def stop(self) -> None:
        """Stop all replicas, without their drain."""
        await asyncio.gather(*(_end(self.replicas[slot], stack) for slot, stack in self._stacks.items()))

    def close(self) -> None:
        """Stop also the replicas that were about to start when the soak was stopped."""
        for stack in self._opened:
            stack.close()

    async def follow(self) -> None:
        """Follow readiness and the caBundle, and measure memory, until cancelled."""
        while True:
            ready = [each for each in list(self.replicas.values()) if await asyncio.to_thread(_is_ready, each)]
            bundle = bundles(self.api)[0]
            for pid, series in self.memory.items():
                if (mib := resident(pid)) is not None:
                    series.samples.append((self.now, mib))
            await asyncio.sleep(_LAG)
            self.endpoints = ready
            if bundle and (not self.bundles or bundle != self.bundles[-1][1]):
                self.trust = ssl.create_default_context(cadata=bundle.decode())
                self.bundles.append((self.now, bundle))

    def clock(self, slot: str) -> Path:
        """The file with the offset of the clock of a slot's replicas."""
        return self.folder / f"clock-{slot}"

    def set_clock(self, slot: str, seconds: int) -> None:
        """Set the clocks of a slot's replicas forward or back. They notice within a second."""
        new = self.folder / "clock-new"
        new.write_text(f"{seconds:+d}s\n")
        new.replace(self.clock(slot))

    def unexpected(self) -> list[str]:
        """The lines that replicas have logged about internal errors."""
        lines = [line for log in self.logs for line in log.read_text().splitlines()]
        return [line for line in lines if "unexpected error" in line or not line.startswith("{")]


def register(api: ApiServer) -> None:
    """Make the stand-in API server have the webhook's configuration."""
    client = {"service": {"name": "model-injector", "namespace": "model-injector"}}
    api.put(CONFIGURATION, {"webhooks": [{"name": "pods.model-injector.io", "clientConfig": client}]})


def certificates(ca_lifetime: int) -> dict[str, Any]:
    """Settings with which the replicas replace their CA after two thirds of this time, in seconds."""
    return {
        "mode": "auto",
        "hosts": [HOST],
        "webhookConfiguration": "model-injector",
        "secret": "model-injector-ca",
        "namespace": "model-injector",
        "caLifetime": ca_lifetime,
        "leafLifetime": ca_lifetime // 3,
        "overlap": 3,
    }


def _is_ready(webhook: Webhook) -> bool:
    with suppress(httpx.HTTPError):
        return webhook.ops("/readyz").status_code == 200
    return False


async def _end(webhook: Webhook, stack: ExitStack) -> None:
    await asyncio.to_thread(stack.close)
    for left in Path("/dev/shm").glob(f"*faketime_*_{webhook.process.pid}"):  # noqa: S108 - of libfaketime
        left.unlink(missing_ok=True)


def _faketime(clock: Path) -> dict[str, str]:
    """The environment in which a process takes the time from a file."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        raise MissingProgram("libfaketime is missing: apt-get install faketime")
    return {
        "LD_PRELOAD": os.fspath(library),
        "FAKETIME_TIMESTAMP_FILE": os.fspath(clock),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",
    }
