"""A folder of files, in a bucket or in a volume."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Folder:
    """The files below `path`, by their names relative to it."""

    path: Path

    def write(self, files: Mapping[str, bytes]) -> None:
        """Add these files."""
        for name, content in files.items():
            file = self.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)

    def read(self) -> dict[str, bytes]:
        """Every file that is there."""
        return {str(file.relative_to(self.path)): file.read_bytes() for file in self._files()}

    def names(self) -> set[str]:
        """Every file's name."""
        return {str(file.relative_to(self.path)) for file in self._files()}

    def known(self) -> str:
        """FILES,BYTES as the webhook's catalog would know them."""
        sizes = [file.stat().st_size for file in self._files()]
        return f"{len(sizes)},{sum(sizes)}"

    def write_sha256sums(self) -> None:
        """Add SHA256SUMS, as `sha256sum` writes it, of all that is there now."""
        lines = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(self.read().items())]
        self.write({"SHA256SUMS": "".join(lines).encode()})

    def _files(self) -> list[Path]:
        return [file for file in self.path.rglob("*") if file.is_file()]
