"""fetch.sh, as a container runs it."""

from importlib.resources import files
from typing import Final

SCRIPT: Final = files(__package__).joinpath("fetch.sh").read_text()
MARK: Final = "model-fetch"
"""The script's $0, in containers that any version of this program has made."""
