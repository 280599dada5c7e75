"""`model-injector advise`: recommend a way to deliver a model, by flags, the catalog, the cluster and questions."""

import argparse
import sys
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from webhook.advice.inputs import INPUTS, PRICE, STORES, Input, price
from webhook.advice.recommend import Recommendation, recommend
from webhook.advice.situation import Names, Situation
from webhook.annotations.model_name import model_name
from webhook.commands.advice_text import print_recommendation
from webhook.commands.capabilities import read_capabilities
from webhook.commands.lookup import request_of, resolve, split_reference
from webhook.commands.options import Commands, add_config, add_namespace, add_source
from webhook.commands.output import add_output, print_json, print_warnings
from webhook.errors import InvalidInput, shown
from webhook.fields.parsers import EXACT_VERSION
from webhook.model.source import DEFAULT_SOURCE
from webhook.settings import Settings
from webhook.settings.loading import load

_LONGEST_ANSWER: Final = 1000


class _Answers(NamedTuple):
    """The values of inputs by name, and the defaults among them by flag, as a user would write them."""

    values: dict[str, Any]
    assumed: dict[str, str]


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "advise",
        help="recommend a way to deliver a model",
        description="Recommend a way to deliver a model, with reasons, estimates, trade-offs and the next commands. On "
        "a terminal, it asks what the flags leave open. The exit status is 1 if no way is possible.",
        allow_abbrev=False,
    )
    add_config(parser)
    add_source(parser)
    add_output(parser)
    parser.add_argument(
        "model", nargs="?", metavar="MODEL[@VERSION]", help="a model of the catalog, whose size is used"
    )
    parser.add_argument("-y", "--yes", action="store_true", help="ask nothing: use the defaults")
    parser.add_argument(
        "--cluster", action="store_true", help="read the version and the CSI drivers of the kubeconfig's cluster"
    )
    parser.add_argument("--context", help="with --cluster: the context of the kubeconfig; default: its current one")
    add_namespace(parser, default="default", text="the namespace in commands; default: default")
    group = parser.add_argument_group("situation", "What the recommendation follows from.")
    for entry in INPUTS:
        default = f"; default: {entry.default}" if entry.default else ""
        group.add_argument(
            entry.flag, dest=entry.name, type=_typed(entry), metavar=entry.metavar, help=f"{entry.meaning}{default}"
        )
    group.add_argument(
        "--price",
        action="append",
        type=_price,
        default=[],
        metavar="KIND=AMOUNT",
        help=f"the price of a GB (2^30 bytes) a month; the kinds are {', '.join(STORES)}; may be given several times",
    )
    parser.set_defaults(run=_run)


def _typed(entry: Input) -> Callable[[str], Any]:
    def typed(text: str) -> Any:
        try:
            return entry.parse(text.strip())
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{shown(text)} is not {entry.allowed}") from error

    return typed


def _price(text: str) -> tuple[str, float]:
    try:
        return price(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not {PRICE}") from error


def _run(options: argparse.Namespace) -> int:
    _check(options)
    names, size = _names(options)
    known = {"bytes": size, **_from_cluster(options)}
    answers = _answers(options, known)
    recommendation = recommend(_situation(answers.values, dict(options.price)), names)
    _print(options, recommendation, answers.assumed)
    return 0 if recommendation.recommended else 1


def _check(options: argparse.Namespace) -> None:
    if options.cluster and options.platform == "docker":
        raise InvalidInput("--cluster is for Kubernetes; leave it out with --platform docker")
    if options.context and not options.cluster:
        raise InvalidInput("--context selects a cluster to read; give --cluster too")
    kinds = [kind for kind, _ in options.price]
    if len(set(kinds)) < len(kinds):
        raise InvalidInput("a price is given twice; give each kind of storage once")


def _names(options: argparse.Namespace) -> tuple[Names, int | None]:
    """The names for commands, and the size that the catalog knows. S3 is asked if --size is not given."""
    settings = load(options.config) if options.config or (options.model and options.bytes is None) else None
    words = ("--config", str(options.config)) if options.config else ()
    if options.source != DEFAULT_SOURCE:
        words += ("--source", options.source)
    names = Names(namespace=options.namespace, options=words)
    if settings:
        names = msgspec.structs.replace(
            names, mount_path=settings.defaults.mount_path, annotation_prefix=settings.annotation_prefix
        )
    if not options.model:
        return names, None
    model, version = split_reference(options.model)
    if settings is None or options.bytes is not None:
        return _unresolved(names, model, version, settings, options.source), None
    artifact, warnings = resolve(settings, request_of(settings, options.source, model, version))
    print_warnings(warnings)
    names = msgspec.structs.replace(
        names, model=artifact.model, version=artifact.version, folder=artifact.folder, is_published=True
    )
    return names, artifact.bytes


def _unresolved(names: Names, model: str, version: str, settings: Settings | None, source: str) -> Names:
    """The names of a model that is not looked up in the catalog. Raises InvalidInput."""
    try:
        model_name(model)
    except ValueError as error:
        raise InvalidInput(f"{shown(model)} is not a model's name, such as my-model or my-org/my-model") from error
    if version == "latest":
        version = names.version
    elif not EXACT_VERSION.fullmatch(version):
        raise InvalidInput(f"{shown(version)} is not an exact version; give one, or leave out --size to look it up")
    if settings is not None and source not in settings.all_sources:
        raise InvalidInput(f"there is no source {source}; configured: {', '.join(settings.all_sources)}")
    layout = settings.all_sources[source].layout if settings else "{model}-{version}"
    folder = layout.format(model=model, version=version)
    return msgspec.structs.replace(names, model=model, version=version, folder=folder)


def _from_cluster(options: argparse.Namespace) -> dict[str, Any]:
    if not options.cluster:
        return {}
    found = read_capabilities(options.context)
    print_warnings(found.warnings)
    return {"platform": "kubernetes", "kubernetes_minor": found.kubernetes_minor, "csi_drivers": found.csi_drivers}


def _answers(options: argparse.Namespace, known: dict[str, Any]) -> _Answers:
    """The value of each input: by its flag, else known, else by a question, else the default."""
    asks = sys.stdin.isatty() and sys.stderr.isatty() and not options.yes and options.output != "json"
    values: dict[str, Any] = {}
    assumed: dict[str, str] = {}
    for entry in INPUTS:
        given = getattr(options, entry.name)
        value = known.get(entry.name) if given is None else given
        if value is None and asks and entry.question:
            value = _ask(entry)
        elif value is None and entry.default is not None:
            value = entry.parsed(entry.default)
            assumed[entry.flag] = entry.default
        values[entry.name] = value
    return _Answers(values, assumed)


def _ask(entry: Input) -> Any:
    """Ask on the terminal until the answer is valid. Raises InvalidInput if there is none."""
    hint = f" [{entry.default}]" if entry.default else ""
    while True:
        print(f"{entry.question}{hint} ", end="", file=sys.stderr, flush=True)  # noqa: T201 - a question
        line = sys.stdin.readline(_LONGEST_ANSWER)
        if not line:
            raise InvalidInput(f"there is no answer; give {entry.flag}, or --yes for the defaults")
        try:
            return entry.parsed(line.strip() or entry.default or "")
        except InvalidInput as error:
            print(error, file=sys.stderr)  # noqa: T201


def _situation(values: dict[str, Any], prices: dict[Any, float]) -> Situation:
    """The situation, checked as a whole. Raises InvalidInput."""
    if values["bytes"] is None:
        raise InvalidInput("the size of the model is not known; give --size, such as 14Gi, or a model of the catalog")
    replicas, per_node, nodes = values["replicas"], values["replicas_per_node"], values["nodes"]
    if per_node > replicas:
        raise InvalidInput(f"--replicas-per-node {per_node} is more than --replicas {replicas}; give both")
    fewest = -(-replicas // per_node)
    if nodes is not None and not fewest <= nodes <= replicas:
        raise InvalidInput(
            f"--nodes {nodes} does not fit {replicas} replicas of which at most {per_node} share a node; "
            f"give {fewest} to {replicas}, or leave it out"
        )
    return Situation(**{**values, "nodes": nodes or fewest}, prices=prices)


def _print(options: argparse.Namespace, recommendation: Recommendation, assumed: dict[str, str]) -> None:
    if options.output == "json":
        print_json({**msgspec.to_builtins(recommendation), "assumed": assumed})
    else:
        print_recommendation(recommendation, assumed)
