"""`model-injector catalog withdraw`: no pod gets a version any more."""

import argparse

from webhook.catalog.bucket.store import Store
from webhook.catalog.bucket.withdrawals import LONGEST_REASON, Withdrawal, is_reason
from webhook.catalog.publishing.withdrawals import undo, withdraw
from webhook.catalog.resolution import UnknownVersion
from webhook.catalog.versions import order
from webhook.commands.lookup import request_of, store_of
from webhook.commands.options import Commands, add_config, add_source
from webhook.commands.output import add_output, print_json, print_line, print_notes, print_warnings
from webhook.errors import InvalidInput
from webhook.fields.parsers import EXACT_VERSION
from webhook.settings import Settings
from webhook.settings.loading import load


def add(actions: Commands) -> None:
    """Declare the command, an action of `catalog`."""
    parser = actions.add_parser(
        "withdraw",
        help="withdraw a version: no pod gets it any more",
        description="Withdraw a version. Pods that ask for it are refused, also those of workloads that are pinned to "
        "it; ranges and latest mean other versions. Pods that run, and the files, stay.",
        allow_abbrev=False,
    )
    add_config(parser)
    add_source(parser)
    add_output(parser)
    parser.add_argument("reference", metavar="MODEL@VERSION", help="an exact version, such as my-model@1.2.3")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--reason",
        type=_reason,
        metavar="TEXT",
        help=f"for the authors of pods; one line of at most {LONGEST_REASON} characters",
    )
    what.add_argument("--undo", action="store_true", help="take the withdrawal back")
    parser.set_defaults(run=_run)


def _reason(text: str) -> str:
    if not is_reason(text):
        raise argparse.ArgumentTypeError(f"write one line of at most {LONGEST_REASON} printable characters")
    return text


def _run(options: argparse.Namespace) -> None:
    settings = load(options.config)
    store = store_of(settings, options.source)
    model, version = _exact(settings, options)
    if options.undo:
        undo(store, model, version)
        _print(options, model, version, None)
        return
    _check_existence(store, model, version)
    _print(options, model, version, withdraw(store, model, version, options.reason))
    if settings.catalog.mode == "none":
        print_warnings(["the webhook admits the version all the same, because it has no catalog (catalog.mode: none)"])
    else:
        seconds = settings.catalog.refresh_seconds
        print_notes([f"each replica of the webhook reads this with its next listing; there is one every {seconds} s"])


def _exact(settings: Settings, options: argparse.Namespace) -> tuple[str, str]:
    """The model and the version. Raises InvalidInput."""
    model, _, version = options.reference.partition("@")
    if not EXACT_VERSION.fullmatch(version):
        raise InvalidInput(f"{options.reference!r} has no exact version; write MODEL@VERSION, such as my-model@1.2.3")
    request_of(settings, options.source, model, version)
    return model, version


def _check_existence(store: Store, model: str, version: str) -> None:
    """A version that was removed may be withdrawn. A name that is no number may be meant as an alias."""
    folder = store.source.layout.format(model=model, version=version)
    if any(store.objects(f"{folder}/")):
        return
    problem = f"{model} {version} is not in {store.uri('')}"
    if order(version) is None:
        raise UnknownVersion(f"{problem}; for an alias, give the version that it stands for")
    print_warnings([problem])


def _print(options: argparse.Namespace, model: str, version: str, withdrawal: Withdrawal | None) -> None:
    if options.output == "json":
        print_json({"model": model, "version": version, "withdrawn": withdrawal})
    else:
        print_line(f"{model} {version}: {withdrawal or 'not withdrawn'}")
