"""`model-injector iam-policy`: print minimal IAM policies, and associate a role with a service account."""

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from webhook.aws.iam import Session, pod_policy, sources_to_sign_for, trust_policy, webhook_policy
from webhook.aws.pod_identity import Association, associate, eks
from webhook.catalog.versions import order
from webhook.commands.lookup import request_of
from webhook.commands.options import Commands, add_config, add_source
from webhook.commands.output import print_json, print_line, print_warnings
from webhook.errors import InvalidInput
from webhook.fields.parsers import EXACT_VERSION, labels, matching, subdomain
from webhook.settings import Settings
from webhook.settings.loading import load

_cluster = matching(r"[A-Za-z0-9][A-Za-z0-9_-]*", 100)
_role = matching(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+", 2048)


def add(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "iam-policy",
        help="print minimal IAM policies; associate a role with a service account",
        description="Print the minimal IAM policy for pods that download models. Without VERSION, it covers all "
        "versions of the model that begin with a digit, or with v and a digit. With the layout {model}-{version}, "
        "that includes models whose names continue the same way: my-model also covers my-model-3d. An exact version "
        "covers only itself.",
        allow_abbrev=False,
    )
    add_config(parser)
    add_source(parser)
    parser.add_argument("models", nargs="*", metavar="MODEL[@VERSION]", help="all versions of a model, or an exact one")
    other = parser.add_mutually_exclusive_group()
    other.add_argument(
        "--webhook", action="store_true", help="instead: the policy that the webhook needs for its catalog"
    )
    other.add_argument("--trust", action="store_true", help="instead: the role's trust policy, for EKS Pod Identity")
    other.add_argument(
        "--associate",
        action="store_true",
        help="instead: create the EKS Pod Identity association of a role and a service account, and print its ARN",
    )
    _add_session(parser)
    parser.set_defaults(run=_run)


def _add_session(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "sessions", "Restrict a policy by the session tags of EKS Pod Identity. IRSA does not set such tags."
    )
    group.add_argument(
        "--cluster",
        type=_typed(_cluster, "the name of an EKS cluster"),
        metavar="NAME",
        help="the EKS cluster of the pods",
    )
    group.add_argument(
        "--namespace",
        "--namespaces",
        type=_typed(labels, "comma-separated namespaces"),
        default=(),
        metavar="NAMES",
        help="the namespaces of the pods, such as apps,ml; one for --associate",
    )
    group.add_argument(
        "--service-account",
        type=_typed(subdomain, "the name of a service account"),
        metavar="NAME",
        help="the service account of the pods",
    )
    group.add_argument(
        "--role-arn",
        type=_typed(_role, "a role's ARN, such as arn:aws:iam::111122223333:role/models"),
        metavar="ARN",
        help="the role, for --associate",
    )


def _typed(parse: Callable[[str], Any], allowed: str) -> Callable[[str], Any]:
    def typed(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r} is not {allowed}") from error

    return typed


def _run(options: argparse.Namespace) -> None:
    instead = options.webhook or options.trust or options.associate
    if bool(options.models) == instead:
        raise InvalidInput("iam-policy: give models, or one of --webhook, --trust and --associate")
    if options.role_arn and not options.associate:
        raise InvalidInput("iam-policy: --role-arn is for --associate; a policy names no role")
    session = Session(options.cluster or "", options.namespace, options.service_account or "")
    if options.associate:
        association = _association(options)
        print_line(associate(eks(), association))
    elif options.trust:
        print_json(trust_policy(session))
    elif options.webhook:
        print_json(_for_webhook(load(options.config), session))
    else:
        print_json(_for_pods(load(options.config), options.source, options.models, session))


def _association(options: argparse.Namespace) -> Association:
    wanted = {
        "--cluster": options.cluster,
        "--namespace": options.namespace,
        "--service-account": options.service_account,
        "--role-arn": options.role_arn,
    }
    if missing := [name for name, value in wanted.items() if not value]:
        raise InvalidInput(f"iam-policy --associate also needs {', '.join(missing)}")
    if len(options.namespace) > 1:
        raise InvalidInput("iam-policy --associate takes one namespace: run it once for each")
    return Association(options.cluster, options.namespace[0], options.service_account, options.role_arn)


def _for_webhook(settings: Settings, session: Session) -> dict[str, Any]:
    if settings.catalog.mode == "none":
        raise InvalidInput("the webhook needs no policy: with catalog.mode none it sends no requests to AWS")
    sources = sources_to_sign_for(settings)
    if not sources:
        raise InvalidInput("the webhook needs no policy: every source is anonymous")
    return webhook_policy(sources, reads_tags=bool(settings.catalog.required_tag), session=session)


def _for_pods(settings: Settings, source: str, texts: Sequence[str], session: Session) -> dict[str, Any]:
    models = [_model(settings, source, text) for text in texts]
    if settings.all_sources[source].anonymous:
        raise InvalidInput(f"no policy is needed: source {source} is anonymous")
    return pod_policy(settings.all_sources[source], models, session)


def _model(settings: Settings, source: str, text: str) -> tuple[str, str]:
    """Parse `MODEL[@VERSION]` into the model and the version, empty if there is none. Raises InvalidInput."""
    model, at, version = text.partition("@")
    if at and not EXACT_VERSION.fullmatch(version):
        raise InvalidInput(f"{text}: the meaning of {version!r} can change: give {model}, or an exact version")
    request_of(settings, source, model, version or "1.2.3")  # raises for names that a pod cannot ask for
    if version and order(version) is None:
        print_warnings([f"{version} is read as an exact version of {model}; for an alias, give {model}"])
    return model, version
