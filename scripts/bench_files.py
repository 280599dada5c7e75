"""Measures the init container with a model of many small files: seconds and memory of each case. Prints JSON.

S3 is a server in memory, so that the figures are those of the init container and of s5cmd.
"""

import argparse
import asyncio
import hashlib
import json
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support import programs
from tests.support.container import InitContainer

PREFIX: Final = "model-artifacts/my-model-1.2.3/"
PAGE: Final = 1000
SIZE: Final = 100
_ENTRY: Final = (
    "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;0&quot;</ETag>"
    "<Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=100_000, help="how many files the model has (100000)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="model-injector-bench-") as folder, _serving(options.files) as url:
        print(json.dumps(_measure(Path(folder), url, options.files), indent=2))
    return 0


def _measure(work: Path, url: str, files: int) -> dict[str, Any]:
    (work / "logs").mkdir()
    env = {
        "S3_ENDPOINT_URL": url,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "HOME": str(work),
    }
    model = work / "volume" / "my-model-1.2.3"
    model.parent.mkdir()
    image = programs.install_image(work / "image")
    container = InitContainer(f"s3://my-ml-bucket/{PREFIX}*", model, image, env, work / "logs")
    result = {"first, by size": _run(container)}
    result["restart, size and number unknown"] = _run(container)
    known = f"{files + 1},{sum(file.stat().st_size for file in model.rglob('*') if file.is_file())}"
    result["restart, size and number known"] = _run(container, known)
    result["restart, by sha256"] = _run(container, known, "sha256")
    shutil.rmtree(model / "part-007")
    result["restart, 1 % is missing"] = _run(container, known)
    return result


def _run(container: InitContainer, known: str = "-", verify: Any = "size") -> dict[str, float]:
    """Seconds, and the most MiB of memory that all processes together and the files in /dev/shm took."""
    before = _shared()
    run = container.start(known=known, verify=verify, limit=3600, flags=("--numworkers", "32"), parts=16)
    processes = shared = 0
    while run.process.poll() is None:
        processes = max(processes, sum(_resident(run.process.pid)))
        shared = max(shared, _shared() - before)
        time.sleep(0.05)
    outcome = run.wait()
    if outcome.reason != "Complete":
        raise SystemExit(outcome.log)
    mib = 1024 * 1024
    return {
        "seconds": round(outcome.seconds, 1),
        "processes MiB": round(processes / mib),
        "shm MiB": round(shared / mib),
    }


def _resident(group: int) -> Iterator[int]:
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            if int((process / "stat").read_text().rpartition(")")[2].split()[2]) == group:
                yield int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


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


if __name__ == "__main__":
    raise SystemExit(main())
