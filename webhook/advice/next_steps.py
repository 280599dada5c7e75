"""Commands that several ways need. Every value is quoted for a POSIX shell."""

import json
import shlex

from webhook.advice.situation import Names


def injector(names: Names, *arguments: str) -> str:
    """A command of `model-injector` with the user's options."""
    return shlex.join(["model-injector", *arguments, *names.options])


def published(names: Names) -> tuple[str, ...]:
    """The command that publishes the version, unless the catalog has it."""
    return () if names.is_published else (injector(names, "publish", "DIR", names.model, names.version),)


def manifests(names: Names, strategy: str, *arguments: str) -> str:
    """The command that prints or writes what a strategy needs for the version."""
    reference = f"{names.model}@{names.version}"
    return injector(names, "manifests", strategy, reference, "--namespace", names.namespace, *arguments)


def annotate(names: Names, strategy: str) -> str:
    """The command that adds the annotations to the pod template of a Deployment."""
    values = {"model": names.model, "version": names.version, "strategy": strategy}
    annotations = {f"{names.annotation_prefix}/{name}": value for name, value in values.items()}
    patch = {"spec": {"template": {"metadata": {"annotations": annotations}}}}
    text = json.dumps(patch, separators=(",", ":"))
    return shlex.join(["kubectl", "-n", names.namespace, "patch", "deployment", "APP", "--type", "merge", "-p", text])
