"""`model-injector cleanup`: remove what belongs to versions that nothing uses."""

import argparse
import getpass
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from webhook.catalog.bucket.store import CatalogError
from webhook.commands.options import Commands, add_config, add_context
from webhook.commands.output import add_output, in_units, print_json, print_notes, print_table, print_warnings
from webhook.errors import InvalidInput
from webhook.kubernetes.client import ClusterError, KubernetesClient
from webhook.settings.loading import load

if TYPE_CHECKING:
    from webhook.controller.cleaning import Review
    from webhook.controller.steps import Step


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "cleanup",
        help="remove claims and Jobs of versions that nothing uses",
        description="Remove the claims, Jobs and volumes of versions that no pod runs, no workload is pinned to, also "
        "in its rollback history, that have no alias, are older than the retention, and are not among the newest of "
        "their model. It is done in two steps: the first run gives the claims the state `expired`, so that no new pod "
        "gets them, and the next one removes them if nothing uses them yet.",
        allow_abbrev=False,
    )
    add_config(parser)
    add_output(parser)
    parser.add_argument("--dry-run", action="store_true", help="only print what would be removed, and why")
    add_context(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    """Returns 1 if a step failed."""
    settings = load(options.config)
    if settings.catalog.mode != "s3":
        raise InvalidInput("cleanup reads the catalog: set catalog.mode to s3")
    from webhook.controller.areas import complete_usage, read_cluster, tag_expired  # noqa: PLC0415 - slow
    from webhook.controller.catalog import CatalogReader  # noqa: PLC0415
    from webhook.controller.cleaning import plan  # noqa: PLC0415
    from webhook.controller.cluster.acting import Actor  # noqa: PLC0415
    from webhook.controller.cluster.cache import Cache  # noqa: PLC0415

    api = KubernetesClient(options.context)
    with closing(CatalogReader(settings, expires=True)) as catalog:
        published = catalog.read()
        if catalog.problems:
            raise CatalogError("; ".join(f"source {name}: {problem}" for name, problem in catalog.problems.items()))
    cluster = read_cluster(api, settings)
    found = plan(published, cluster, complete_usage(api, settings), settings, datetime.now(UTC))
    _print(options, found.reviews)
    if options.dry_run:
        print_notes(_named(step) for steps in found.steps for step in steps)
        return 0
    actor, failures = Actor(api, Cache(api), getpass.getuser()), 0
    for steps in found.steps:
        for step in steps:  # the following ones depend on it
            try:
                result = actor.take(step)
            except ClusterError as error:
                failures += 1
                print_warnings([str(error)])
                break
            print_notes([f"{_named(step)}: {result}"])
            if result != "ok":
                break
    print_notes(f"tagged {uri}" for uri in tag_expired(found.reviews, published, settings))
    return 1 if failures else 0


def _named(step: "Step") -> str:
    return f"{type(step).__name__.lower()} {'/'.join(filter(None, step.target))}"


def _print(options: argparse.Namespace, reviews: "Sequence[Review]") -> None:
    if options.output == "json":
        print_json(reviews)
        return
    print_table(
        ("MODEL", "VERSION", "SIZE", "CLAIMS", "REMOVED", "REASON"),
        [
            (
                each.model,
                each.version,
                in_units(each.bytes),
                str(len(each.objects)),
                "yes" if each.is_removed else "no",
                each.reason,
            )
            for each in reviews
        ],
    )
