"""`model-injector catalog withdraw`: no pod gets a version any more."""

import argparse
from collections.abc import Sequence

from webhook.catalog.bucket.errors import CatalogError
from webhook.catalog.bucket.listing import read_model
from webhook.catalog.bucket.store import Store
from webhook.catalog.bucket.withdrawals import LONGEST_REASON, is_reason
from webhook.catalog.publishing.withdrawals import undo, withdraw
from webhook.catalog.resolution import UnknownVersion
from webhook.catalog.versions import order
from webhook.commands.lookup import request_of, store_of
from webhook.commands.options import Commands, add_config, add_context, add_source
from webhook.commands.output import (
    add_output,
    print_at_once,
    print_json,
    print_line,
    print_notes,
    print_table,
    print_warnings,
)
from webhook.errors import InvalidInput, one_line
from webhook.fields.parsers import EXACT_VERSION
from webhook.kubernetes.client import ClusterError, KubernetesClient
from webhook.model.artifact import Artifact
from webhook.settings import Settings
from webhook.settings.loading import load
from webhook.usage.reading import read_usage
from webhook.usage.rows import UsageRow, rows
from webhook.usage.uses import Usage


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
    add_context(parser)
    parser.add_argument("reference", metavar="MODEL@VERSION", help="an exact version, such as my-model@1.2.3")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--reason",
        type=_reason,
        metavar="TEXT",
        help=f"for the authors of pods; one line of at most {LONGEST_REASON} characters",
    )
    what.add_argument("--undo", action="store_true", help="undo the withdrawal")
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
        if options.output == "json":
            print_json({"model": model, "version": version, "withdrawn": None, "users": None})
        else:
            print_line(f"{model} {version}: not withdrawn")
        return
    _check_existence(store, model, version)
    withdrawal = withdraw(store, model, version, options.reason)
    if options.output == "table":
        print_at_once(f"{model} {version}: {withdrawal}")
    _print_effect(settings)
    _warn_of_aliases(store, model, version)
    users = _users(settings, Artifact(model, version, store.source), options.context)  # may take minutes
    if options.output == "json":
        print_json({"model": model, "version": version, "withdrawn": withdrawal, "users": users})
    elif users is not None:
        _print_users(users)


def _print_effect(settings: Settings) -> None:
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


def _warn_of_aliases(store: Store, model: str, version: str) -> None:
    """Warn of aliases that stand for the version. The withdrawal is recorded, so a failure is a warning, too."""
    try:
        aliases = read_model(store, model).aliases
    except CatalogError as error:
        print_warnings([f"the aliases of {model} cannot be read: {error}"])
        return
    names = sorted(name for name, target in aliases.versions.items() if target == version) if aliases else ()
    print_warnings(
        f"pods that ask for @{name} are refused until it is set: "
        f"`model-injector catalog alias set {model} {name} VERSION`"
        for name in names
    )


def _users(settings: Settings, artifact: Artifact, context: str | None) -> list[UsageRow] | None:
    """Who uses a version, in the cluster of the kubeconfig. None if that cannot be read, with a note."""
    try:
        usage = read_usage(KubernetesClient(context), settings)
    except ClusterError as error:
        command = f"model-injector usage {artifact.model}@{artifact.version}"
        print_notes([f"its users are not listed: {error}; later, `{command}` lists them"])
        return None
    print_warnings(one_line(problem.text) for problem in usage.problems[:1])
    return rows(Usage(usage.of(artifact)), {})


def _print_users(users: Sequence[UsageRow]) -> None:
    if not users:
        print_line("no workload of the cluster uses it")
        return
    print_table(
        ("NAMESPACE", "WORKLOAD", "PODS", "STATE"),
        [(each.namespace, f"{each.kind}/{each.workload}", str(len(each.pods)), each.state) for each in users],
    )
