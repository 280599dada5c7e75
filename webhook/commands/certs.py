"""`model-injector certs`: issue certificates for a webhook outside a cluster; show certificates."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from webhook.commands.options import Commands, add_config
from webhook.commands.output import print_line
from webhook.kubernetes.quantities import parse_duration
from webhook.settings.loading import InvalidSettings, load

_LOCAL: Final = ("localhost", "127.0.0.1", "::1")


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser("certs", help="issue or show certificates", allow_abbrev=False)
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    issue = actions.add_parser(
        "issue",
        help="write ca.crt, tls.crt and tls.key",
        description="Write a certificate (tls.crt), its key (tls.key) and the authority to trust (ca.crt), whose key "
        "is not kept. With --config, write the files that `serve` reads.",
        allow_abbrev=False,
    )
    add_config(issue)
    issue.add_argument(
        "folder", type=Path, nargs="?", metavar="FOLDER", help="the folder to write to, without --config"
    )
    issue.add_argument("--host", action="append", help=f"a DNS name or IP address; default: {', '.join(_LOCAL)}")
    issue.add_argument("--lifetime", type=_lifetime, default="2160h", help="such as 2160h, the default")
    issue.set_defaults(run=_issue)
    show = actions.add_parser(
        "show",
        help="describe the certificates in files",
        description="Describe each certificate in PEM files; - is standard input.",
        allow_abbrev=False,
    )
    add_config(show)
    show.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="default: the certificate that `serve` reads with --config, else standard input",
    )
    show.set_defaults(run=_show)


def _lifetime(text: str) -> timedelta:
    try:
        return timedelta(seconds=parse_duration(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _issue(options: argparse.Namespace) -> None:
    from certs import Authority  # noqa: PLC0415 - slow, and other commands do not need it

    settings = load(options.config) if options.config else None
    if bool(settings) == bool(options.folder):
        raise InvalidSettings("certs issue: give a FOLDER, or --config FILE")
    certificate = settings.server.tls_cert if settings else options.folder / "tls.crt"
    key = settings.server.tls_key if settings else options.folder / "tls.key"
    hosts = options.host or (settings and settings.certificates.hosts) or _LOCAL
    authority = Authority.create(options.lifetime)
    leaf = authority.issue(hosts, options.lifetime)
    contents = {certificate.parent / "ca.crt": authority.certificate, certificate: leaf.certificate, key: leaf.key}
    for file, content in contents.items():
        _write(file, content, 0o600 if file == key else 0o644)
        print_line(str(file))


def _write(file: Path, content: bytes, mode: int) -> None:
    """Replace a file atomically. It never has another mode. Raises InvalidSettings."""
    new = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode), "wb") as opened:
            opened.write(content)
        new.replace(file)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise InvalidSettings(f"certs issue: {error}") from error


def _show(options: argparse.Namespace) -> None:
    files: Sequence[str] = options.files or ([str(load(options.config).server.tls_cert)] if options.config else ["-"])
    for file in files:
        try:
            content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        except OSError as error:
            raise InvalidSettings(f"certs show: {error}") from error
        lines = list(_described(content, datetime.now(UTC)))
        if not lines:
            raise InvalidSettings(f"certs show: {file} has no certificate")
        for line in lines:
            print_line(line)


def _described(content: bytes, now: datetime) -> Iterator[str]:
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

    from certs import parse_bundle  # noqa: PLC0415

    for certificate in parse_bundle(content):
        extensions = {type(extension.value): extension.value for extension in certificate.extensions}
        constraints, names = extensions.get(x509.BasicConstraints), extensions.get(x509.SubjectAlternativeName)
        left = certificate.not_valid_after_utc - now
        yield "authority" if isinstance(constraints, x509.BasicConstraints) and constraints.ca else "leaf"
        yield f"  subject      {certificate.subject.rfc4514_string() or '(none)'}"
        yield f"  issuer       {certificate.issuer.rfc4514_string()}"
        if isinstance(names, x509.SubjectAlternativeName):
            yield f"  hosts        {', '.join(str(name.value) for name in names)}"
        yield f"  valid from   {certificate.not_valid_before_utc:%Y-%m-%d %H:%M:%SZ}"
        yield (
            f"  valid until  {certificate.not_valid_after_utc:%Y-%m-%d %H:%M:%SZ}, "
            + (f"{left.days} days from now" if left > timedelta() else "expired")
        )
        yield f"  SHA-256      {certificate.fingerprint(SHA256()).hex(':')}"
