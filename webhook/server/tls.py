"""The server's certificate, read again whenever its files change, without a handshake lost.

The SSLContext stays the same: a new certificate serves the handshakes that begin after it, and connections that exist
go on. The files are compared by content, for a mounted Secret gives no reliable file events.
"""

import asyncio
import logging
import ssl
from pathlib import Path

from webhook.errors import InvalidSettings

_log = logging.getLogger(__name__)


class ServerCertificate:
    """A certificate chain and its key (PEM), as files. Raises InvalidSettings where they can't be used at the start."""

    def __init__(self, cert: Path, key: Path) -> None:
        self._cert, self._key = cert, key
        self._loaded: tuple[bytes, bytes] | None = None
        self.context = _context()
        try:
            self._load()
        except (OSError, ssl.SSLError) as error:
            raise InvalidSettings(f"server.tlsCert {cert} and server.tlsKey {key} can't be used: {error}") from error

    async def watch(self, seconds: float) -> None:
        """Look at the files this often, for ever. What can't be used is logged, and the old certificate stays."""
        while True:
            await asyncio.sleep(seconds)
            try:
                if self._load():
                    _log.info("certificate reloaded")
            except (OSError, ssl.SSLError) as error:
                _log.error("certificate not reloaded, the old one stays: %s", error)

    def _load(self) -> bool:
        content = self._cert.read_bytes(), self._key.read_bytes()
        if content == self._loaded:
            return False
        # First where it does no harm: a context that fails half-way keeps the certificate, and not the key.
        for context in (_context(), self.context):
            context.load_cert_chain(self._cert, self._key, password=str)  # an empty one: never a prompt
        self._loaded = content
        return True


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
