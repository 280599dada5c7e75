"""`model-injector image`: build the OCI image of a version, in a registry or in a folder."""

import argparse
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

from webhook.catalog.bucket.errors import CatalogError
from webhook.catalog.bucket.images import VersionImage
from webhook.catalog.bucket.store import Store
from webhook.catalog.publishing.images import record
from webhook.commands.lookup import request_of, resolve, split_reference, store_of
from webhook.commands.options import Commands, add_config, add_source
from webhook.commands.output import add_output, in_units, print_json, print_line, print_notes, print_warnings, progress
from webhook.images import reference
from webhook.images.build import THREADS, Built, Content, Destination, build, content_of
from webhook.images.layers import size_of
from webhook.images.layout import Layout
from webhook.images.records import Records
from webhook.model.artifact import Artifact
from webhook.settings import Settings
from webhook.settings.loading import load


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser("image", help="build OCI images of versions", allow_abbrev=False)
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    push = _action(
        actions,
        "push",
        "push the image of a version to a registry, and record it in the catalog",
        "Build the OCI image of a version in a registry, without Docker, and record it in the catalog. Layers that the "
        "registry has are not uploaded again.",
        _push,
    )
    push.add_argument("image", metavar="REGISTRY/NAME[:TAG]", help="the default tag is the version")
    push.add_argument("--plain-http", action="store_true", help="use HTTP; loopback addresses always do")
    add_output(push)
    build = _action(
        actions,
        "build",
        "write the image of a version to a folder",
        "Build the OCI image of a version in a folder, as an OCI image layout. A layout can have several images.",
        _build,
    )
    build.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="the folder of the layout")


def _action(actions: Commands, name: str, text: str, description: str, run: Any) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=text, description=description, allow_abbrev=False)
    add_config(parser)
    add_source(parser)
    parser.add_argument(
        "reference", metavar="MODEL@VERSION", help="such as my-model@1.2.3, my-model@champion, my-model"
    )
    parser.set_defaults(run=run)
    return parser


def _push(options: argparse.Namespace) -> None:
    from webhook.images.registry import Registry  # noqa: PLC0415 - slow, and other commands do not need it

    settings = load(options.config)
    store, artifact = _resolved(settings, options)
    name = reference.parse(options.image, artifact.version)
    has_catalog, stopped = settings.catalog.mode == "s3", Event()
    records = Records(store, name.repository, writes=has_catalog)
    with closing(Registry(name, THREADS, stopped, plain_http=options.plain_http)) as registry:
        content, built = _build_in(registry, store, artifact, records, name.tag, stopped)
    image = f"{name.repository}@{built.digest}"
    if has_catalog:
        try:
            record(store, artifact.model, artifact.version, VersionImage(image, content.manifest))
        except CatalogError as error:
            raise CatalogError(f"{image} is pushed, but not in the catalog: {error}") from error
    else:
        print_warnings(["the catalog does not have the image, because there is none (catalog.mode: none)"])
    if options.output == "json":
        print_json(
            {
                "model": artifact.model,
                "version": artifact.version,
                "image": image,
                "layers": built.layers,
                "bytes": built.bytes,
                "uploaded": built.written,
            }
        )
    else:
        print_line(image)


def _build(options: argparse.Namespace) -> None:

    store, artifact = _resolved(load(options.config), options)
    layout, tag = Layout(options.output), reference.tag_of(artifact.version)
    _build_in(layout, store, artifact, Records(store, writes=False), tag, Event())
    print_line(f"oci:{options.output}:{tag}")


def _resolved(settings: Settings, options: argparse.Namespace) -> tuple[Store, Artifact]:
    store = store_of(settings, options.source)
    model, version = split_reference(options.reference)
    artifact, warnings = resolve(settings, request_of(settings, options.source, model, version))
    print_warnings(warnings)
    return store, artifact


def _build_in(  # noqa: PLR0913, PLR0917 - the source, the destination, and what is shared with it
    destination: Destination, store: Store, artifact: Artifact, records: Records, tag: str, stopped: Event
) -> tuple[Content, Built]:
    """Build an image, with progress and a summary on standard error."""

    content = content_of(store, artifact)
    total = sum(size_of(layer) for layer in content.layers)
    with progress("building", total) as advance:
        built = build(store, content, destination, records, tag=tag, stopped=stopped, progress=advance)
    if records.problem:
        print_warnings([f"the layers are not recorded, so that later images begin anew: {records.problem}"])
    written = in_units(built.written)
    print_notes([f"{artifact.model} {artifact.version}: {built.layers} layers, {in_units(built.bytes)}, {written} new"])
    return content, built
