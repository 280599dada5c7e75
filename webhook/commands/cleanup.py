"""`model-injector cleanup`: remove what belongs to versions that nothing uses."""

import argparse
import getpass
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from webhook.catalog.bucket.errors import CatalogError
from webhook.commands.options import Commands, add_config, add_context
from webhook.commands.output import add_output, in_units, print_json, print_notes, print_table, print_warnings
from webhook.errors import InvalidInput, one_line
from webhook.kubernetes.client import ClusterError, KubernetesClient
from webhook.settings.loading import load
from webhook.usage.reading import read_usage

if TYPE_CHECKING:
    from webhook.controller.cleaning import Review
    from webhook.controller.cluster.acting import Actor
    from webhook.controller.steps import Step

_MOST_WARNINGS: Final = 10
_TIME: Final = "%Y-%m-%d %H:%M:%SZ"


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "cleanup",
        help="remove claims and Jobs of versions that nothing uses",
        description="Remove the claims, Jobs and volumes of a version if no pod runs it, no workload is pinned to it "
        "or can be rolled back to it, it has no alias, it is older than the retention, and it is not among the newest "
        "of its model. There are two steps. The first run gives the claims the state `expired`, so that no new pod "
        "gets them. A run at least five minutes later removes them if nothing uses them.",
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
    from webhook.controller.areas import read_cluster  # noqa: PLC0415 - slow
    from webhook.controller.catalog import CatalogReader  # noqa: PLC0415
    from webhook.controller.cleaning import plan  # noqa: PLC0415
    from webhook.controller.cluster.acting import Actor  # noqa: PLC0415
    from webhook.controller.cluster.cache import Cache  # noqa: PLC0415
    from webhook.controller.tags import changes, kept, make, removable  # noqa: PLC0415

    api = KubernetesClient(options.context)
    with closing(CatalogReader(settings, expires=True)) as catalog:
        published = catalog.read()
        if catalog.problems:
            raise CatalogError("; ".join(f"source {name}: {problem}" for name, problem in catalog.problems.items()))
    cluster, now = read_cluster(api, settings), datetime.now(UTC)
    usage = read_usage(api, settings)
    found = plan(published, cluster, usage, settings, now)
    tags = changes(removable(found.reviews, usage), kept(found.reviews), published, settings)
    _print(options, found.reviews)
    print_warnings(one_line(problem.text) for problem in usage.problems[:_MOST_WARNINGS])
    print_warnings(tags.problems)
    if options.dry_run:
        print_notes(_named(step) for steps in found.steps for step in steps)
        print_notes(f"{'tag' if each.is_tagged else 'untag'} {each.artifact.uri}" for each in tags.changes)
        return 1 if tags.problems else 0
    actor = Actor(api, Cache(api), getpass.getuser())
    failures = sum(not _take(steps, actor) for steps in found.steps)
    made = make(tags.changes, settings)
    print_notes(f"{'tagged' if each.is_tagged else 'untagged'} {each.artifact.uri}" for each in made.changes)
    print_warnings(made.problems)
    return 1 if failures or tags.problems or made.problems else 0


def _take(steps: "Sequence[Step]", actor: "Actor") -> bool:
    """Take the steps of a version up to the first that is not taken: the following ones depend on it. False if one
    failed. One that conflicts is decided about again by the next run."""
    for step in steps:
        try:
            result = actor.take(step)
        except ClusterError as error:
            print_warnings([str(error)])
            return False
        print_notes([f"{_named(step)}: {result}"])
        if result != "ok":
            break
    return True


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
                str(len(each.claims)),
                "yes" if each.is_removed else "no",
                _reason(each),
            )
            for each in reviews
        ],
    )


def _reason(about: "Review") -> str:
    if not (about.expired_at and about.removed_from):
        return about.reason
    return f"{about.reason}; expired at {about.expired_at:{_TIME}}; removed from {about.removed_from:{_TIME}} on"
