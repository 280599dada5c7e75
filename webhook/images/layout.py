"""An OCI image layout: a folder with the blobs of images, and an index of the images."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from webhook.errors import InvalidInput
from webhook.images.image import INDEX, Document, Image, descriptor
from webhook.images.records import LayerRecord
from webhook.images.stream import LayerStream

_NAME: Final = "org.opencontainers.image.ref.name"
_MARK: Final = "oci-layout"
_LARGEST: Final = 4 << 20


class _Index(msgspec.Struct):
    manifests: list[dict[str, Any]]


class Layout:
    """A folder. Each file appears in it whole, or not at all."""

    def __init__(self, folder: Path) -> None:
        """Create the folder, unless it is a layout. Raises InvalidInput."""
        self._folder, self._blobs = folder, folder / "blobs" / "sha256"
        with self._errors():
            if folder.exists() and not (folder / _MARK).exists() and any(folder.iterdir()):
                raise InvalidInput(f"{folder} is neither empty nor an OCI layout; choose another folder")
            self._blobs.mkdir(parents=True, exist_ok=True)
            self._write(folder / _MARK, b'{"imageLayoutVersion":"1.0.0"}')

    def reuse(self, record: LayerRecord, size: int) -> bool:
        """Whether the folder has a layer. Files are complete, so that their size is enough."""
        file = self._file(record.digest)
        return file.is_file() and file.stat().st_size == size

    def write_layer(self, layer: LayerStream, progress: Callable[[int], None]) -> str:
        """Write a layer, and return its digest. Raises InvalidInput, and CatalogError."""
        with self._errors(), self._new_file(self._blobs) as (file, part):
            for chunk in layer.chunks(0):
                file.write(chunk)
                progress(len(chunk))
            file.flush()
            part.replace(self._file(layer.digest))
        return layer.digest

    def write_image(self, image: Image, tag: str) -> None:
        """Write the image's documents, and name it `tag` in the folder's index, in place of an earlier image."""
        with self._errors():
            for document in (*image.configs, *image.manifests, image.index):
                self._write(self._file(document.digest), document.content)
            self._write(self._folder / "index.json", msgspec.json.encode(self._with(image.index, tag)))

    def _with(self, document: Document, tag: str) -> dict[str, object]:
        """The index of the folder with an image."""
        file = self._folder / "index.json"
        manifests = []
        if file.exists():
            try:
                with file.open("rb") as opened:
                    manifests = msgspec.json.decode(opened.read(_LARGEST), type=_Index).manifests
            except (msgspec.MsgspecError, RecursionError, ValueError) as error:
                raise InvalidInput(f"{file} is not the index of an OCI layout: {error}") from error
        others = [each for each in manifests if (each.get("annotations") or {}).get(_NAME) != tag]
        named = {**descriptor(document), "annotations": {_NAME: tag}}
        return {"schemaVersion": 2, "mediaType": INDEX, "manifests": [*others, named]}

    def _file(self, digest: str) -> Path:
        return self._blobs / digest.removeprefix("sha256:")

    def _write(self, target: Path, content: bytes) -> None:
        with self._new_file(target.parent) as (file, part):
            file.write(content)
            file.flush()
            part.replace(target)

    @contextmanager
    def _new_file(self, folder: Path) -> Iterator[tuple[IO[bytes], Path]]:
        """A file that is removed, unless it is renamed."""
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".part-", delete=False) as file:
            part = Path(file.name)
            try:
                part.chmod(0o644)
                yield file, part
            finally:
                part.unlink(missing_ok=True)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InvalidInput(f"{self._folder} cannot be written: {error.strerror}") from error
