"""The command `model-injector`, as a process."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from certs import Authority
from tests.support.command_line import run, run_process
from tests.support.webhook import write_certificate
from webhook import __version__


def test_it_says_its_version() -> None:
    assert run_process("--version").stdout == f"{__version__}\n"


def test_serve_has_its_options_and_tells_of_them() -> None:
    shown = run("serve", "--help").stdout
    for option in ("--config", "--host", "--port", "--ops-port", "--tls-cert", "--tls-key"):
        assert option in shown


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((), "the following arguments are required: COMMAND"),
        (("surve",), "invalid choice: 'surve'"),
        (("serve", "--prot", "1"), "unrecognized arguments: --prot"),
        (("serve", "--config", "/nowhere.yaml"), "model-injector: /nowhere.yaml: "),
        (("serve",), "model-injector: no bucket is set"),
    ],
)
def test_bad_input_is_a_line_on_standard_error_and_status_2(arguments: tuple[str, ...], line: str) -> None:
    done = run_process(*arguments)
    assert done.returncode == 2
    assert line in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not done.stdout


def test_a_wrong_setting_is_one_line() -> None:
    done = run_process("serve", MODEL_INJECTOR_BUCKET="my-ml-bucket", MODEL_INJECTOR_FETCH__TIMEOUT="soon")
    assert done.returncode == 2
    assert done.stderr == "model-injector: setting fetch.timeout: 'soon' is not a duration such as 30m, 1h30m or 1d\n"


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    write_certificate(tmp_path, Authority.create())
    files = ("--tls-cert", str(tmp_path / "tls.crt"), "--tls-key", str(tmp_path / "tls.key"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run_process("serve", "--host", "127.0.0.1", "--port", port, *files, MODEL_INJECTOR_BUCKET="my-ml-bucket")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"model-injector: cannot listen on 127.0.0.1 port {port}: ")
    assert "Address already in use" in line


def test_a_server_starts_without_what_commands_previews_and_s3_need() -> None:
    heavy = "import sys, webhook.server; print({'boto3', 'fastapi', 'jsonpatch', 'kubernetes'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "set()\n"
