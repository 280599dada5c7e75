"""`model-injector catalog`: list, show and resolve versions; change aliases; withdraw versions."""

import argparse
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from webhook.catalog.bucket.errors import CatalogError, Denied, Unreachable
from webhook.catalog.bucket.listing import SourceListing, read_names
from webhook.catalog.bucket.status import VersionStatus, inspect, read_manifest
from webhook.catalog.bucket.store import Store
from webhook.catalog.bucket.withdrawals import Withdrawal, withdrawal_of
from webhook.catalog.lookup.preflight import withdrawn
from webhook.catalog.publishing.aliases import change
from webhook.catalog.resolution import UnknownVersion, Withdrawn
from webhook.catalog.versions import ALIAS, Versions
from webhook.commands import withdraw
from webhook.commands.lookup import request_of, resolve_withdrawn, store_of
from webhook.commands.options import Commands, add_config, add_source
from webhook.commands.output import add_output, in_units, print_json, print_line, print_table, print_warnings
from webhook.errors import InvalidInput
from webhook.fields.parsers import EXACT_VERSION
from webhook.model.artifact import Artifact
from webhook.settings import Settings
from webhook.settings.loading import load

_THREADS: Final = 8


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "catalog", help="list, show, resolve and withdraw versions; set aliases", allow_abbrev=False
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    listing = _action(actions, "list", "list models and their versions, the newest first", _list)
    listing.add_argument("model", nargs="?", metavar="MODEL", help="list only this model, with sizes")
    show = _action(actions, "show", "show the details of a version", _show)
    show.add_argument("model", metavar="MODEL", help="the name of the model")
    show.add_argument("version", nargs="?", default="latest", metavar="VERSION", help="default: latest")
    resolving = _action(actions, "resolve", "resolve a reference to an exact version", _resolve)
    resolving.add_argument("model", metavar="MODEL", help="the name of the model")
    resolving.add_argument("version", metavar="VERSION", help="such as 1.2.3, @champion, ^1.2, latest")
    alias = actions.add_parser("alias", help="set or remove aliases", allow_abbrev=False)
    changes = alias.add_subparsers(required=True, metavar="ACTION")
    setting = _action(changes, "set", "set an alias to a version", _set_alias)
    removing = _action(changes, "remove", "remove an alias", _remove_alias)
    for action in (setting, removing):
        action.add_argument("model", metavar="MODEL", help="the name of the model")
        action.add_argument("alias", metavar="ALIAS", type=_alias, help="such as champion")
    setting.add_argument("version", metavar="VERSION", help="an exact version")
    withdraw.add(actions)


def _action(actions: Commands, name: str, text: str, run: Any) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False)
    add_config(parser)
    add_source(parser)
    add_output(parser)
    parser.set_defaults(run=run)
    return parser


def _alias(text: str) -> str:
    name = text.removeprefix("@")
    if not ALIAS.fullmatch(name):
        raise argparse.ArgumentTypeError(f"{text!r} is not an alias; write letters, digits and ._-, such as champion")
    return name


def _list(options: argparse.Namespace) -> None:
    settings = load(options.config)
    store = store_of(settings, options.source)
    names = read_names(store)
    print_warnings(names.problems)
    if options.model:
        _list_model(options, settings, store, names)
        return
    models = sorted(names.models.keys() | names.aliases.keys())
    rows = [(model, tuple(names.models.get(model, Versions()).newest()), _aliases_of(names, model)) for model in models]
    if options.output == "json":
        print_json(
            [
                {"model": model, "versions": versions, "aliases": aliases, "withdrawn": _withdrawals_of(names, model)}
                for model, versions, aliases in rows
            ]
        )
    else:
        print_table(
            ("MODEL", "VERSIONS", "NEWEST", "ALIASES"),
            [
                (model, str(len(versions)), _newest(names, model, versions), _in_words(aliases))
                for model, versions, aliases in rows
            ],
        )


def _list_model(options: argparse.Namespace, settings: Settings, store: Store, names: SourceListing) -> None:
    aliases, withdrawals = _aliases_of(names, options.model), _withdrawals_of(names, options.model)
    listed = names.models.get(options.model, Versions()).newest()
    versions = list(dict.fromkeys((*listed, *aliases.values(), *withdrawals)))
    if not versions:
        raise UnknownVersion(f"{options.model} has no versions in source {options.source}")
    with ThreadPoolExecutor(_THREADS) as threads:
        statuses = threads.map(lambda version: _status(settings, store, options.model, version), versions)
        details = dict(zip(versions, statuses, strict=True))
    named = {version: [name for name, target in aliases.items() if target == version] for version in versions}
    if options.output == "json":
        artifacts = (_artifact(settings, options, version, details[version]) for version in versions)
        print_json(
            [
                {
                    **_as_json(artifact, withdrawals.get(artifact.version)),
                    "state": details[artifact.version].state,
                    "aliases": named[artifact.version],
                }
                for artifact in artifacts
            ]
        )
        return
    print_table(
        ("VERSION", "STATE", "FILES", "SIZE", "CREATED", "ALIASES", "WITHDRAWN"),
        [
            (
                version,
                detail.state,
                "-" if detail.files is None else str(detail.files),
                in_units(detail.size),
                f"{detail.created_at:%Y-%m-%d %H:%M}" if detail.created_at else "-",
                ", ".join(named[version]),
                _reason(withdrawals.get(version)),
            )
            for version, detail in details.items()
        ],
    )


def _show(options: argparse.Namespace) -> None:
    settings = load(options.config)
    store = store_of(settings, options.source)
    request = request_of(settings, options.source, options.model, options.version)
    resolved, withdrawal = resolve_withdrawn(settings, request)
    print_warnings(resolved.warnings)
    if options.output == "json":
        print_json({**_as_json(resolved.artifact, withdrawal), "image": resolved.artifact.image})
        return
    for name, value in _described(resolved.artifact, withdrawal, store):
        print_line(f"{name:<10} {value}")


def _resolve(options: argparse.Namespace) -> None:
    """Print the version. A withdrawn one is printed too, and then ends the command with an error."""
    settings = load(options.config)
    store_of(settings, options.source)
    request = request_of(settings, options.source, options.model, options.version)
    resolved, withdrawal = resolve_withdrawn(settings, request)
    print_warnings(resolved.warnings)
    if options.output == "json":
        print_json(_as_json(resolved.artifact, withdrawal))
    else:
        print_line(resolved.artifact.version)
    if withdrawal:
        raise withdrawn(request, resolved.artifact.version, withdrawal)


def _described(artifact: Artifact, withdrawal: Withdrawal | None, store: Store) -> Iterator[tuple[str, str]]:
    manifest, _ = read_manifest(store, artifact.folder)
    yield "model", artifact.model
    yield "version", artifact.version
    if withdrawal:
        yield "withdrawn", _reason(withdrawal)
    yield "uri", artifact.uri
    yield "files", "-" if artifact.files is None else str(artifact.files)
    yield "size", in_units(artifact.bytes)
    yield "digest", artifact.digest or "-"
    yield "image", artifact.image or "-"
    if manifest:
        yield "created", f"{manifest.created_at:%Y-%m-%d %H:%M:%SZ}"
        yield from (("label", f"{key}={value}") for key, value in manifest.labels.items())
        yield from (("file", f"{file.path}  {in_units(file.size)}") for file in manifest.files)


def _set_alias(options: argparse.Namespace) -> None:
    settings = load(options.config)
    store = store_of(settings, options.source)
    request_of(settings, options.source, options.model, options.version)
    if not EXACT_VERSION.fullmatch(options.version):
        raise InvalidInput(f"{options.version!r} is not an exact version; give one, such as 1.2.3")
    state = _inspect(settings, store, options.model, options.version).state
    if state not in ("published", "unmanaged"):
        raise UnknownVersion(f"{options.model} {options.version} is {state}; publish it first")
    if withdrawal := withdrawal_of(store, options.model, options.version):
        raise Withdrawn(f"{options.model} {options.version} was {withdrawal}; give another version")

    def edit(aliases: dict[str, str]) -> None:
        aliases[options.alias] = options.version

    _print_aliases(options, change(store, options.model, edit))


def _remove_alias(options: argparse.Namespace) -> None:
    settings = load(options.config)
    store = store_of(settings, options.source)
    request_of(settings, options.source, options.model, f"@{options.alias}")
    existed = False

    def edit(aliases: dict[str, str]) -> None:
        nonlocal existed
        # If it existed in an earlier attempt, that attempt removed it, and S3's response was lost.
        if aliases.pop(options.alias, None) is None and not existed:
            raise UnknownVersion(f"{options.model} has no alias {options.alias}")
        existed = True

    _print_aliases(options, change(store, options.model, edit))


def _print_aliases(options: argparse.Namespace, aliases: dict[str, str]) -> None:
    if options.output == "json":
        print_json(aliases)
    else:
        print_table(("ALIAS", "VERSION"), sorted(aliases.items()))


def _aliases_of(names: SourceListing, model: str) -> dict[str, str]:
    known = names.aliases.get(model)
    return dict(known.versions) if known else {}


def _withdrawals_of(names: SourceListing, model: str) -> dict[str, Withdrawal]:
    known = names.withdrawn.get(model)
    return dict(known.versions) if known else {}


def _newest(names: SourceListing, model: str, versions: Sequence[str]) -> str:
    """The first of these versions that is not withdrawn."""
    withdrawn_versions = names.withdrawn_versions(model)
    return next((version for version in versions if version not in withdrawn_versions), "-")


def _reason(withdrawal: Withdrawal | None) -> str:
    return f"{withdrawal.at:%Y-%m-%d %H:%M}  {withdrawal.reason}" if withdrawal else ""


def _in_words(aliases: dict[str, str]) -> str:
    return ", ".join(f"{name}={version}" for name, version in aliases.items())


def _inspect(settings: Settings, store: Store, model: str, version: str) -> VersionStatus:
    folder = store.source.layout.format(model=model, version=version)
    return inspect(store, folder, settings.catalog.required_tag)


def _status(settings: Settings, store: Store, model: str, version: str) -> VersionStatus:
    """The status of a version in a list. An unreadable version must not end the list."""
    try:
        return _inspect(settings, store, model, version)
    except (Denied, Unreachable):
        raise
    except CatalogError:
        return VersionStatus("unreadable")


def _artifact(settings: Settings, options: argparse.Namespace, version: str, detail: VersionStatus) -> Artifact:
    source = settings.all_sources[options.source]
    return Artifact(options.model, version, source, detail.files, detail.size, detail.digest)


def _as_json(artifact: Artifact, withdrawal: Withdrawal | None) -> dict[str, object]:
    names = ("model", "version", "uri", "files", "bytes", "digest")
    return {**{name: getattr(artifact, name) for name in names}, "withdrawn": withdrawal}
