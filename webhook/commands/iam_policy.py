"""`model-injector iam-policy`: the least that AWS has to allow, and the service account that gets it."""

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from webhook.aws.iam import Session, pod_policy, sources_to_sign_for, trust_policy, webhook_policy
from webhook.aws.pod_identity import Association, associate, eks
from webhook.catalog.versions import order
from webhook.commands.lookup import request_of
from webhook.commands.options import Commands, add_config, add_source
from webhook.commands.output import complain, say, say_json
from webhook.errors import InvalidInput
from webhook.fields.parsers import EXACT_VERSION, labels, matching, subdomain
from webhook.settings import Settings
from webhook.settings.loading import load

_cluster = matching(r"[A-Za-z0-9][A-Za-z0-9_-]*", 100)
_role = matching(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+", 2048)


def add(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "iam-policy",
        help="print the least IAM policies; associate a role with a service account",
        description="Print the least IAM policy for pods that fetch models. Without VERSION it covers every version of "
        "the model that begins with a digit, or with v and a digit. With the layout {model}-{version} that is true of "
        "another model's folders, too, where its name goes on like that: my-model covers my-model-3d. Exact versions "
        "cover nothing else.",
        allow_abbrev=False,
    )
    add_config(parser)
    add_source(parser)
    parser.add_argument("models", nargs="*", metavar="MODEL[@VERSION]", help="all versions of a model, or an exact one")
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--webhook", action="store_true", help="instead: what the webhook needs for its catalog")
    other.add_argument("--trust", action="store_true", help="instead: the role's trust policy, for EKS Pod Identity")
    other.add_argument(
        "--associate",
        action="store_true",
        help="instead: make the EKS Pod Identity association of a role and a service account, and print its ARN",
    )
    _add_session(parser)
    parser.set_defaults(run=_run)


def _add_session(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "whose", "Policies hold for these alone, by the session tags of EKS Pod Identity, which IRSA does not have."
    )
    group.add_argument("--cluster", type=_typed(_cluster, "the name of an EKS cluster"), metavar="NAME")
    group.add_argument(
        "--namespace",
        "--namespaces",
        type=_typed(labels, "namespaces with commas between"),
        default=(),
        metavar="NAMES",
        help="such as apps,ml; one for --associate",
    )
    group.add_argument("--service-account", type=_typed(subdomain, "the name of a service account"), metavar="NAME")
    group.add_argument(
        "--role-arn",
        type=_typed(_role, "a role's ARN, such as arn:aws:iam::111122223333:role/models"),
        metavar="ARN",
        help="for --associate",
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
        say(associate(eks(), association))
    elif options.trust:
        say_json(trust_policy(session))
    elif options.webhook:
        say_json(_for_webhook(load(options.config), session))
    else:
        say_json(_for_pods(load(options.config), options.source, options.models, session))


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
        raise InvalidInput("iam-policy --associate takes one --namespace: call it once for each")
    return Association(options.cluster, options.namespace[0], options.service_account, options.role_arn)


def _for_webhook(settings: Settings, session: Session) -> dict[str, Any]:
    if settings.catalog.mode == "none":
        raise InvalidInput("the webhook needs no policy: with catalog.mode none it does not ask AWS")
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
    """Model and exact version, or an empty one. Raises InvalidInput."""
    model, at, version = text.partition("@")
    if at and not EXACT_VERSION.fullmatch(version):
        raise InvalidInput(f"{text}: {version!r} may mean another version tomorrow: give {model}, or an exact version")
    request_of(settings, source, model, version or "1.2.3")  # raises for what a pod could not ask for either
    if version and order(version) is None:
        complain([f"{version} is taken for an exact version of {model}; for an alias, give {model}"])
    return model, version
