"""Files that a command writes at its end, after minutes: whether it can is checked before."""

import argparse
import os
from pathlib import Path


def writable(text: str) -> Path:
    """The path of a file that can be written. Raises ArgumentTypeError, of which argparse tells the user."""
    path = Path(text)
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text} cannot be written")
    return path
