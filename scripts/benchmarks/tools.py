"""Other clients of S3, in a virtual environment of their own, because their dependencies contradict the project's."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

_LOCK: Final = Path(__file__).with_suffix(".lock")
_SECONDS: Final = 600


class NotInstalled(Exception):
    """The clients could not be installed; the message says why."""


def installed() -> Path:
    """The folder with the programs of the locked versions, which are installed if they are missing.

    The environment is in the user's cache folder, and named after the lock. Raises NotInstalled.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "model-injector"
    folder = cache / f"bench-{hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:12]}"
    if not folder.exists():
        print("Installing the clients to compare with; this takes some minutes", file=sys.stderr)
        new = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        uv = Path(sys.executable).with_name("uv")
        _run([uv, "venv", "--quiet", "--relocatable", "--python", sys.executable, new])
        _run([uv, "pip", "install", "--quiet", "--require-hashes", "--python", new, "--requirement", _LOCK])
        new.rename(folder)
    return folder / "bin"


def _run(command: list[str | Path]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(str(error)) from error
    except subprocess.CalledProcessError as error:
        raise NotInstalled(error.stderr.strip().splitlines()[-1]) from error
