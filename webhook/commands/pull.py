"""`model-injector pull`: download a version to this machine, into the folder that a pod would have."""

import argparse
import shlex
from pathlib import Path

from webhook.catalog.publishing.pull import files_of, pull
from webhook.commands.lookup import request_of, resolve, split_reference, store_of
from webhook.commands.options import Commands, add_config, add_source
from webhook.commands.output import in_units, print_line, print_warnings, progress
from webhook.settings.loading import load


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "pull",
        help="download a version to this machine",
        description="Download a version to DIR/<model>-<version>, verify it, and print a command that mounts it in a "
        "container.",
        allow_abbrev=False,
    )
    add_config(parser)
    add_source(parser)
    parser.add_argument(
        "reference", metavar="MODEL@VERSION", help="such as my-model@1.2.3, my-model@champion, my-model"
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="the folder in which the version's folder is created")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    settings = load(options.config)
    store = store_of(settings, options.source)
    model, version = split_reference(options.reference)
    artifact, warnings = resolve(settings, request_of(settings, options.source, model, version))
    print_warnings(warnings)
    files = files_of(store, artifact.folder)
    with progress("fetching", sum(file.size for file in files)) as advance:
        pull(store, artifact.folder, files, options.folder / artifact.folder, advance)
    size = sum(file.size for file in files)
    checked = "by sha256" if all(file.sha256 for file in files) else "by size, because it has no manifest"
    print_line(f"{model} {artifact.version}: {len(files)} files, {in_units(size)}, checked {checked}")
    mount = settings.defaults.mount_path
    prefix = settings.defaults.env_prefix
    variables = {"PATH": f"{mount}/{artifact.folder}", "NAME": artifact.model, "VERSION": artifact.version}
    words = ["docker", "run", "-v", f"{options.folder.resolve()}:{mount}:ro"]
    for name, value in variables.items() if prefix else ():
        words += ["-e", f"{prefix}_{name}={value}"]
    print_line(f"{shlex.join(words)} IMAGE")
