"""`model-injector publish`: upload a folder as a version of a model."""

import argparse
import re
from pathlib import Path
from typing import Final

from webhook.catalog.publishing.local import scan
from webhook.catalog.publishing.publish import missing, plan, publish
from webhook.commands.lookup import request_of, store_of
from webhook.commands.options import Commands, add_config, add_source
from webhook.commands.output import in_units, print_line, progress
from webhook.errors import InvalidInput
from webhook.fields.parsers import EXACT_VERSION
from webhook.settings import Settings
from webhook.settings.loading import load

_TEXT: Final = re.compile(r"[\w +=._:/@-]+")
"""The characters that S3 allows in tags."""


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "publish",
        help="upload a folder as a version of a model",
        description="Upload a folder as a version of a model, which never changes afterwards. An interrupted upload "
        "continues where it stopped.",
        allow_abbrev=False,
    )
    add_config(parser)
    add_source(parser)
    parser.add_argument("folder", type=Path, metavar="DIR", help="the folder with the model's files")
    parser.add_argument("model", metavar="MODEL", help="the name of the model, such as my-model")
    parser.add_argument("version", metavar="VERSION", help="the exact version, such as 1.2.3")
    parser.add_argument(
        "--tag", action="append", type=_pair, default=[], metavar="KEY=VALUE", help="an object tag of the manifest"
    )
    parser.add_argument(
        "--label", action="append", type=_pair, default=[], metavar="KEY=VALUE", help="a label in the manifest"
    )
    parser.add_argument("--dry-run", action="store_true", help="print what would be uploaded")
    parser.add_argument(
        "--restart",
        action="store_true",
        help="replace the content of a folder without a manifest, such as an abandoned upload",
    )
    parser.set_defaults(run=_run)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if (
        not equals
        or not _TEXT.fullmatch(key)
        or len(key) > 128
        or (value and not _TEXT.fullmatch(value))
        or len(value) > 256
    ):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not KEY=VALUE, of at most 128 and 256 letters, digits, blanks and + - = . _ : / @"
        )
    return key, value


def _run(options: argparse.Namespace) -> None:
    settings = load(options.config)
    store = store_of(settings, options.source)
    _check(settings, options)
    paths = scan(options.folder)
    total = sum(path.stat().st_size for path in paths.values())
    with progress("reading", total) as advance:
        upload = plan(paths, store, options.model, options.version, dict(options.label), advance)
    if options.dry_run:
        files = [local.file for local in missing(upload, store)]
        for file in files:
            print_line(f"{file.sha256}  {in_units(file.size):>10}  {store.uri(f'{upload.folder}/{file.path}')}")
        print_line(f"would upload {len(files)} of {len(paths)} files, {in_units(sum(file.size for file in files))}")
        return
    with progress("uploading", total) as advance:
        manifest = publish(upload, store, dict(options.tag), advance, restart=options.restart)
    print_line(
        f"{options.model} {options.version}: {len(paths)} files, {in_units(manifest.size)}, {store.uri(upload.folder)}"
    )


def _check(settings: Settings, options: argparse.Namespace) -> None:
    request_of(settings, options.source, options.model, options.version)
    if not EXACT_VERSION.fullmatch(options.version):
        raise InvalidInput(f"{options.version!r} is not an exact version; give one, such as 1.2.3")
    if len(options.tag) > 10:
        raise InvalidInput("S3 takes at most 10 tags")
    for pairs in (options.tag, options.label):
        if len(dict(pairs)) < len(pairs):
            raise InvalidInput("a tag or a label is given twice; give each key once")
