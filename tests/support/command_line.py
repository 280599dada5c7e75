"""`model-injector`, run from the command line: as a process, or in this one, which need not load it anew each time."""

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from io import BytesIO, TextIOWrapper
from typing import TextIO
from unittest.mock import patch

from webhook.cli import main

Done = subprocess.CompletedProcess[str]


def run(*arguments: str, stdin: str = "", **env: str) -> Done:
    """The exit status and what is printed, as `run_process` gives them; in this process. `env` is added to it."""
    output, errors = TextIOWrapper(BytesIO(), "utf-8"), TextIOWrapper(BytesIO(), "utf-8")
    with (
        patch.dict(os.environ, {**_clean_environment(), **env}, clear=True),
        patch("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", env.get("KUBECONFIG", "/nowhere")),
        patch.object(sys, "stdin", TextIOWrapper(BytesIO(stdin.encode()), "utf-8")),
        redirect_stdout(output),
        redirect_stderr(errors),
    ):
        try:
            status = main(arguments)
        except SystemExit as error:  # argparse's
            status = int(error.code or 0)
    return Done(arguments, status, _text(output), _text(errors))


def run_process(*arguments: str, **env: str) -> Done:
    """As a user's shell would run it. `env` is added to the environment, without settings and AWS's variables."""
    command = [sys.executable, "-m", "webhook", *arguments]
    every: Mapping[str, str] = {**_clean_environment(), **env}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=every, check=False)


def _clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("MODEL_INJECTOR_", "AWS_"))}


def _text(stream: TextIO) -> str:
    stream.flush()
    assert isinstance(stream.buffer, BytesIO)
    return stream.buffer.getvalue().decode()
