"""The init container with a model of very many small files: seconds and memory of the first download and of restarts.

S3 is a server in memory, so that the figures are those of the init container and of s5cmd.
"""

import asyncio
import hashlib
import multiprocessing
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from benchmarks.models import FLAGS, PARTS, environment
from benchmarks.processes import MIB, sampled
from benchmarks.report import Figure
from tests.support import programs
from tests.support.container import InitContainer

PREFIX: Final = "model-artifacts/my-model-1.2.3/"
PAGE: Final = 1000
SIZE: Final = 100
_LIMIT_SECONDS: Final = 3600
_ENTRY: Final = (
    "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;0&quot;</ETag>"
    "<Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
)


def measure(work: Path, files: int) -> Iterator[Figure]:
    """Download once, and restart in each way."""
    with _serving(files) as url:
        runs = _runs(work, url, files)
    groups = ("Seconds", "Memory of the processes, largest PSS", "Memory of files in /dev/shm, largest")
    for number, (group, unit) in enumerate(zip(groups, ("s", "MiB", "MiB"), strict=True)):
        for name, run in runs.items():
            yield Figure(f"{group}, {files:,} files of {SIZE} bytes", name, unit, run[number])


def _runs(work: Path, url: str, files: int) -> dict[str, tuple[float, float, float]]:
    (work / "logs").mkdir()
    model = work / "volume" / "my-model-1.2.3"
    model.parent.mkdir()
    env, image = environment(url, work), programs.install_image(work / "image")
    container = InitContainer(f"s3://my-ml-bucket/{PREFIX}*", model, image, env, work / "logs")
    runs = {"first download, verify: size": _run(container)}
    runs["restart: all files are there, S3 is listed"] = _run(container)
    known = f"{files + 1},{sum(file.stat().st_size for file in model.rglob('*') if file.is_file())}"
    runs["restart: all files are there, number and size known"] = _run(container, known)
    runs["restart with verify: sha256"] = _run(container, known, "sha256")
    shutil.rmtree(model / "part-007")
    runs["restart: 1 % of the files is missing"] = _run(container, known)
    return runs


def _run(container: InitContainer, known: str = "-", verify: Any = "size") -> tuple[float, float, float]:
    """Seconds, and the most MiB of all processes together and of the files in /dev/shm."""
    before, shared, started = _shared(), 0, time.perf_counter()
    run = container.start(known=known, verify=verify, limit=_LIMIT_SECONDS, flags=FLAGS, parts=PARTS)
    with sampled(run.process.pid) as peak:
        try:
            while run.process.poll() is None:
                shared = max(shared, _shared() - before)
                time.sleep(0.02)
        except BaseException:  # such as Ctrl-C
            run.kill()
            raise
        seconds = time.perf_counter() - started
    outcome = run.wait()
    if outcome.reason != "Complete":
        raise RuntimeError(outcome.log)
    return seconds, peak.mib, shared / MIB


def _shared() -> int:
    return shutil.disk_usage("/dev/shm").used  # noqa: S108 - that is where the script works


@contextmanager
def _serving(files: int) -> Iterator[str]:
    """An S3 with one model, in a process of its own; gives its URL."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=lambda: asyncio.run(_serve(files, theirs)), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()
        process.join()


async def _serve(files: int, ready: Any) -> None:
    names = [f"part-{number % 100:03}/a-sample-of-a-data-set-{number:07}.json" for number in range(files)]
    digests = (f"{hashlib.sha256(_content(name)).hexdigest()}  {name}\n" for name in names)
    sums = "".join(digests).encode()
    sizes = dict(sorted([(name, SIZE) for name in names] + [("SHA256SUMS", len(sums))]))
    entries = [_ENTRY.format(key=PREFIX + name, size=size) for name, size in sizes.items()]

    def answer(target: str) -> bytes:
        url = urlsplit(target)
        if "list-type" not in url.query:
            name = unquote(url.path).partition(PREFIX)[2]
            return sums if name == "SHA256SUMS" else _content(name)
        first = int(parse_qs(url.query).get("continuation-token", ["0"])[0])
        more = first + PAGE < len(entries)
        token = f"<NextContinuationToken>{first + PAGE}</NextContinuationToken>" if more else ""
        page = "".join(entries[first : first + PAGE])
        return f"<R><IsTruncated>{str(more).lower()}</IsTruncated>{token}{page}</R>".encode()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                method, target = head.split(" ", 2)[:2]
                body = answer(target)
                ranged = "range: bytes=" in head.lower()
                status = f"206 OK\r\nContent-Range: bytes 0-{len(body) - 1}/{len(body)}" if ranged else "200 OK"
                writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode())
                writer.write(b"" if method == "HEAD" else body)
                await writer.drain()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    ready.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def _content(name: str) -> bytes:
    return name.encode().ljust(SIZE, b".")
