"""The soak, for some seconds."""

import asyncio
import json
import os
import re
import ssl
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from soak_testing.__main__ import summary
from soak_testing.disturbances import DISTURBANCES
from soak_testing.load import Client, Tally
from soak_testing.memory import Series, least_squares
from soak_testing.plot import plot
from soak_testing.requests import Answer, Case
from tests.server.auto.cluster import HOST
from tests.support.certificates import throwaway_certificate
from tests.support.polling import until

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def soak(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "soak_testing", *arguments]
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}"}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=env, check=False)


def test_nothing_is_lost_while_replicas_are_killed_s3_is_gone_and_bodies_are_malformed(tmp_path: Path) -> None:
    result, drawn = tmp_path / "result.json", tmp_path / "plot.svg"
    done = soak("kill", "s3-gone", "malformed", "--minutes", "0.05", "--json", str(result), "--plot", str(drawn))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lost 0, wrong 0, internal errors 0" in done.stdout
    found = json.loads(result.read_text())
    assert [each["name"] for each in found["disturbances"]] == ["kill", "s3-gone", "malformed"]
    assert all(each["requests"] > 0 for each in found["disturbances"])
    assert found["malformed"] > 0
    assert len(found["memory"]) == 4  # two replicas, both killed
    shown = "".join(ET.fromstring(drawn.read_text()).itertext())  # noqa: S314 - our own
    assert "s3-gone" in shown
    assert "answers a second" in shown


@pytest.mark.parametrize(("disturbance", "lost"), [("restart", 1), ("kill", 0)])
def test_a_request_that_a_replica_drops_is_lost_unless_replicas_are_killed(
    disturbance: str, lost: int, tmp_path: Path
) -> None:
    tally = asyncio.run(asked_of_a_server_that_drops_the_first_request(disturbance, tmp_path))
    assert (tally.phases[0].requests, tally.phases[0].retried, len(tally.lost)) == (1, 1, lost)
    assert not tally.wrong


async def asked_of_a_server_that_drops_the_first_request(disturbance: str, folder: Path) -> Tally:
    body = b'{"response": {"allowed": true}}'
    seen, over, tally = list[bytes](), asyncio.Event(), Tally()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        if len(seen) > 1:
            over.set()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        writer.close()

    certificate = throwaway_certificate(folder, HOST)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    trust = ssl.create_default_context(cadata=certificate.authority)
    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        replica: Any = SimpleNamespace(port=server.sockets[0].getsockname()[1])
        service: Any = SimpleNamespace(endpoints=[replica], trust=trust, now=0.0)
        tally.begin(disturbance, 0)
        answer = Answer(allowed=True, patch=None)
        await Client(service, tally).run([Case("a pod", b"{}", answer, answer)], over)
    return tally


def test_a_soak_that_is_stopped_leaves_nothing_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "soak_testing", "--minutes", "5"]
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}", "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        until(lambda: len(list(tmp_path.glob("*/[ab]?/log"))) == 2)  # both are starting
        replicas = {int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()}
        process.terminate()
        assert process.wait(60) == 130
    assert replicas
    assert not [pid for pid in replicas if Path(f"/proc/{pid}").exists()]
    assert list(tmp_path.iterdir()) == []


def test_the_page_shows_the_result_beside_it() -> None:
    result, page = json.loads((DOCS / "soak.json").read_text()), (DOCS / "soak.md").read_text()
    assert summary(result) in page
    assert plot(result) == (DOCS / "soak.svg").read_text()
    assert re.findall(r"^\| `([a-z0-9-]+)` \|", page.partition("## Generated")[0], re.MULTILINE) == list(DISTURBANCES)


def test_an_unknown_disturbance_is_named() -> None:
    done = soak("earthquake")
    assert done.returncode == 2
    assert "unknown disturbance earthquake" in done.stderr


def test_the_slope_of_memory_is_that_of_the_line_that_fits_best() -> None:
    assert least_squares([(0, 1), (1, 3), (2, 5)]) == pytest.approx(2)
    warm = [(float(second), second * 1.0) for second in range(100)]
    growing = Series("a1", [*warm, *((second, 80 + second / 60) for second in range(100, 202))])
    assert growing.slope == pytest.approx(60)
    assert Series("a1", growing.samples[:80]).slope is None
