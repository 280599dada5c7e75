"""Logs that nobody reads."""

import json
import subprocess
import sys
from pathlib import Path

from certs import Authority
from tests.admission.conftest import asking
from tests.support.reviews import review
from tests.support.webhook import Webhook, write_certificate


def test_a_pipe_that_nobody_reads_stops_neither_admission_nor_the_server(tmp_path: Path) -> None:
    write_certificate(tmp_path, Authority.create())
    settings = {"bucket": "my-ml-bucket", "server": {"host": "127.0.0.1", "port": 0, "opsPort": 0, "drain": 1}}
    settings["server"] |= {"tlsCert": str(tmp_path / "tls.crt"), "tlsKey": str(tmp_path / "tls.key")}  # type: ignore[operator]
    (tmp_path / "settings.yaml").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "webhook", "serve", "--config", str(tmp_path / "settings.yaml")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout
        lines = map(json.loads, process.stdout)
        line = next(line for line in lines if line["message"] == "serving")
        webhook = Webhook(line["port"], line["opsPort"], tmp_path, process)
        with webhook.client() as client:
            for _ in range(600):  # some 200 KB of lines, for a pipe that holds 64
                assert client.post("/mutate", json=review(asking())).status_code == 200
            client.post("/mutate", content=b"{")
        assert webhook.ops("/healthz").text == "ok"
        process.terminate()
        assert process.wait(20) == 0


def test_threads_write_at_the_same_time() -> None:
    """As the event loop and the thread that rotates certificates do."""
    program = """
import threading
from webhook.http import log
log.configure()
def write():
    for number in range(3000):
        log.write("line", {"number": number})
        log.logging.info("line")
threads = [threading.Thread(target=write) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        output, errors = process.communicate(timeout=60)
    assert errors == b""
    assert {json.loads(line)["message"] for line in output.splitlines()} == {"line"}
