"""`model-injector manifests`: print the Kubernetes objects that a strategy needs in the cluster."""

import argparse
import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from webhook.commands.lookup import published, request_of, resolve_by_mode, split_reference, store_of
from webhook.commands.options import Commands, add_config, add_source
from webhook.commands.output import print_notes, print_raw, print_warnings
from webhook.errors import InvalidInput
from webhook.fields.parsers import labels
from webhook.model.artifact import Artifact
from webhook.model.source import DEFAULT_SOURCE
from webhook.preview.dump import dump
from webhook.settings import Settings
from webhook.settings.loading import load
from webhook.strategies import STRATEGIES
from webhook.strategies.strategy import ManifestRequest, Manifests, Strategy

_FILE: Final = "kubernetes.yaml"
_HEAD: Final = "# Written by model-injector manifests.\n"
_MOST: Final = 10_000
"""The maximum number of versions times namespaces."""


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "manifests",
        help="print the Kubernetes objects that a strategy needs",
        description="Print the Kubernetes objects that the platform creates before pods can use a strategy, as YAML "
        "for kubectl apply -f - or for a repository. The same versions and settings give the same text. Further steps "
        "are printed on standard error.",
        allow_abbrev=False,
    )
    add_config(parser)
    add_source(parser)
    parser.add_argument("strategy", metavar="STRATEGY", choices=tuple(STRATEGIES), help=", ".join(STRATEGIES))
    parser.add_argument(
        "references",
        nargs="*",
        metavar="MODEL@VERSION",
        help="such as my-model@1.2.3, my-model@champion, my-model; with --all-published a model's name",
    )
    parser.add_argument(
        "--all-published", action="store_true", help="every published version, of all models if none is named"
    )
    parser.add_argument(
        "-n",
        "--namespace",
        action="append",
        type=_labels,
        metavar="NAMES",
        help="the namespaces of the pods, with commas between; may be given several times",
    )
    parser.add_argument("--stage", help="which objects, if the strategy is set up in stages")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help=f"write {_FILE} and the files for other tools to a folder, instead of printing the objects",
    )
    parser.set_defaults(run=_run)


def _labels(text: str) -> tuple[str, ...]:
    try:
        return labels(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of namespaces, such as apps,ml") from error


def _run(options: argparse.Namespace) -> None:
    strategy = STRATEGIES[options.strategy]
    if strategy.manifests is None:
        print_notes([f"{strategy.name} needs no objects in the cluster"])
        return
    _check_stage(options, strategy)
    settings = load(options.config)
    artifacts = _artifacts(options, settings)
    found = _manifests(options, strategy, artifacts, settings)
    text = _HEAD + "".join(f"---\n{dump(each)}" for each in found.objects)
    if options.output:
        _write(options.output, {_FILE: text, **found.files})
        print_notes(str(options.output / name) for name in (_FILE, *found.files))
    else:
        print_raw(text)
        if found.files:
            print_notes([f"--output DIR also writes {', '.join(found.files)}"])
    print_notes(found.hints)


def _check_stage(options: argparse.Namespace, strategy: Strategy) -> None:
    """Raise InvalidInput if the strategy has stages and none of them is given, or the other way round."""
    if options.stage and not strategy.stages:
        raise InvalidInput(f"{strategy.name} is not set up in stages: leave out --stage")
    if strategy.stages and options.stage not in strategy.stages:
        given = f", and none is named {options.stage!r}" if options.stage else ""
        steps = "; then: ".join(_command(options, stage) for stage in strategy.stages)
        raise InvalidInput(f"{strategy.name} is set up in stages{given}. First: {steps}")


def _command(options: argparse.Namespace, stage: str) -> str:
    """The command of the user for a stage."""
    words = ["model-injector", "manifests", options.strategy, *options.references]
    words += ["--all-published"] if options.all_published else []
    words += ["--namespace", ",".join(_namespaces(options))] if options.namespace else []
    words += ["--config", str(options.config)] if options.config else []
    words += ["--source", options.source] if options.source != DEFAULT_SOURCE else []
    words += ["--output", str(options.output)] if options.output else []
    return shlex.join([*words, "--stage", stage])


def _namespaces(options: argparse.Namespace) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for names in options.namespace or () for name in names))


def _artifacts(options: argparse.Namespace, settings: Settings) -> tuple[Artifact, ...]:
    """The versions, sorted and without duplicates."""
    store_of(settings, options.source)
    if not options.references and not options.all_published:
        raise InvalidInput("manifests: give MODEL@VERSION, or --all-published")
    found = _published(options, settings) if options.all_published else _resolved(options, settings)
    artifacts = sorted(dict.fromkeys(found), key=lambda artifact: (artifact.model, artifact.version))
    if len(artifacts) * len(_namespaces(options)) > _MOST:
        raise InvalidInput(f"manifests: versions times namespaces are more than {_MOST}; name fewer at a time")
    return tuple(artifacts)


def _resolved(options: argparse.Namespace, settings: Settings) -> Iterator[Artifact]:
    references = map(split_reference, options.references)
    requests = [request_of(settings, options.source, model, version) for model, version in references]
    for resolved in resolve_by_mode(settings, requests):
        print_warnings(resolved.warnings)
        yield resolved.artifact


def _published(options: argparse.Namespace, settings: Settings) -> Iterator[Artifact]:
    if settings.catalog.mode == "none":
        raise InvalidInput("manifests: --all-published needs a catalog, and catalog.mode is none")
    for model in options.references:
        request_of(settings, options.source, model, "1.2.3")  # raises for text that is not a model's name
    for resolved in published(settings, options.source, options.references):
        if isinstance(resolved, Exception):
            print_warnings([f"left out: {resolved}"])
        else:
            yield resolved.artifact


def _manifests(
    options: argparse.Namespace, strategy: Strategy, artifacts: tuple[Artifact, ...], settings: Settings
) -> Manifests:
    """Call the strategy. Raises InvalidInput if its objects depend on namespaces and none is given."""

    def manifests(namespaces: tuple[str, ...]) -> Manifests:
        assert strategy.manifests  # noqa: S101 - `_run` has checked it
        request = ManifestRequest(
            artifacts, namespaces, options.stage or "", settings.annotation_prefix, settings.fetch
        )
        return strategy.manifests(request, settings.of_strategies[strategy.name])

    namespaces = _namespaces(options)
    found = manifests(namespaces)
    if not namespaces and found != manifests(("default",)):
        raise InvalidInput(f"the objects of {strategy.name} are in the namespaces of the pods: give --namespace")
    return found


def _write(folder: Path, files: Mapping[str, str]) -> None:
    """Write files atomically. Files that this command has not written are not changed: then raises InvalidInput."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        known = folder / _FILE
        is_ours = known.exists() and known.read_bytes().startswith(_HEAD.encode())
        for name, content in files.items():
            if not is_ours and (folder / name).exists() and (folder / name).read_bytes() != content.encode():
                raise InvalidInput(f"{folder / name} exists, and is not written by this command; give another folder")
        for name, content in files.items():
            new = folder / f".{name}.{os.getpid()}"
            new.write_text(content)
            new.replace(folder / name)
    except OSError as error:
        raise InvalidInput(f"{folder} cannot be written: {error}") from error
