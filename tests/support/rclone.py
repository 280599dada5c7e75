"""An S3 server over a folder: rclone, which really checks signatures. The folders in its root are the buckets."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support import programs
from tests.support.certificates import ServerCertificate

ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"  # noqa: S105 - AWS's own example
_READY = re.compile(r"Starting s3 server on \[(http\S+?)/?\]")


@contextmanager
def serve(
    root: Path,
    log: Path,
    *,
    anonymous: bool = False,
    certificate: ServerCertificate | None = None,
    virtual_hosts: bool = False,
    inside: Sequence[str] = (),
    bandwidth: str = "",
) -> Iterator[str]:
    """Serve `root` on a free port of loopback; gives the endpoint's URL. What changes in `root` is seen at once.

    With `virtual_hosts` the bucket is the first part of the host's name, as at AWS. `inside` is a command line to run
    it in: see network. `bandwidth` limits what it sends, as `--bwlimit` takes it: `119M` is 1 Gbit/s.
    """
    # No ETags and no checksums: it would read every file whole for each listing, and hash all that it serves.
    quick = ("--dir-cache-time", "0s", "--poll-interval", "0", "--etag-hash", "", "--no-checksum")
    options: Sequence[str | Path] = (*quick, "--config", "", "--read-only")
    if not anonymous:
        options = (*options, "--auth-key", f"{ACCESS_KEY},{SECRET_KEY}")
    if certificate is not None:
        options = (*options, "--cert", certificate.certificate, "--key", certificate.key)
    if virtual_hosts:
        options = (*options, "--force-path-style=false")
    if bandwidth:
        options = (*options, "--bwlimit", bandwidth)
    command = (*inside, programs.rclone(), "serve", "s3", root, "--addr", "127.0.0.1:0", *options)
    with programs.running_server(command, ready=_READY, log=log, env={"HOME": str(log.parent)}) as url:
        yield url
