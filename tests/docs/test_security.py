"""The table of rights on the page about security is what helm renders."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.chart.conftest import JSON, Rendered, render

PAGE = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
HEAD = "| account | switched on by | API group | resources | verbs | where |\n| --- | --- | --- | --- | --- | --- |\n"
LEAST: JSON = {
    "certificates": {"mode": "provided", "provided": {"secretName": "mine", "caBundle": "PEM"}},
    "config": {"preview": {"auth": "none", "force": True}, "catalog": {"mode": "s3"}, "inventory": {"enabled": True}},
}
LEAST_WITHOUT_INVENTORY: JSON = {**LEAST, "config": {**LEAST["config"], "inventory": {"enabled": False}}}
CONTROLLER: JSON = {**LEAST, "controller": {"enabled": True}}
NODE_CACHE: JSON = {**LEAST, "nodeCache": {"enabled": True}}


class Feature(NamedTuple):
    """What a platform switches on, and what it has without that."""

    name: str
    values: JSON
    before: JSON | None


def _with(values: JSON, **config: Any) -> JSON:
    return {**values, "config": {**values["config"], **config}}


def _doing(name: str) -> Feature:
    return Feature(
        f"`config.controller.{name}.enabled`", _with(CONTROLLER, controller={name: {"enabled": True}}), CONTROLLER
    )


def _loading(strategy: str, **entry: str) -> Feature:
    loads = _with(
        CONTROLLER, loads=[{"strategy": strategy, **entry}], strategies={"shared-volume": {"namespace": "models"}}
    )
    return Feature(f"`config.loads` by `{strategy}`", loads, CONTROLLER)


def _caching(name: str, **options: Any) -> Feature:
    by_driver = _with(NODE_CACHE, strategies={"node-cache": {"authenticationSource": "driver"}})
    values = _with(NODE_CACHE, strategies={"node-cache": {"authenticationSource": "driver", **options}})
    return Feature(name, values, by_driver)


FEATURES = (
    Feature("always", LEAST_WITHOUT_INVENTORY, None),
    Feature(
        "`certificates.mode: auto`, the default",
        {**LEAST_WITHOUT_INVENTORY, "certificates": {"mode": "auto"}},
        LEAST_WITHOUT_INVENTORY,
    ),
    Feature("`preview.auth`, by default", _with(LEAST, preview={}), LEAST),
    Feature("`config.inventory.enabled`", LEAST, LEAST_WITHOUT_INVENTORY),
    Feature("`controller.enabled`", CONTROLLER, LEAST),
    _loading("s3-mount"),
    _loading("shared-volume"),
    _loading("oci-image", image="registry.example.com/models/{model}"),
    *map(_doing, ("rollouts", "progress", "withdrawals", "cleaning")),
    _caching("`nodeCache.enabled`, `authenticationSource: pod`", authenticationSource="pod"),
    _caching("`nodeCache.enabled`, `placement` or `startupTaint`", placement=True),
)


def rights(rendered: Rendered) -> Iterator[tuple[str, str, str, str, str]]:
    """The account, group, resources, verbs and place of each rule that is bound to an account of the release."""
    for (kind, _), binding in rendered.items():
        if not kind.endswith("RoleBinding") or "helm.sh/hook" in binding["metadata"].get("annotations", {}):
            continue
        role = rendered[binding["roleRef"]["kind"], binding["roleRef"]["name"]]
        (subject,) = binding["subjects"]
        place = "the cluster" if kind == "ClusterRoleBinding" else f"namespace `{role['metadata']['namespace']}`"
        for rule in role["rules"]:
            (group,) = rule["apiGroups"]
            names = "".join(f" `{name}`" for name in rule.get("resourceNames", ()))
            yield (
                f"`{subject['name']}`",
                group or "core",
                ", ".join(rule["resources"]) + names,
                ", ".join(rule["verbs"]),
                place,
            )


def rows() -> Iterator[str]:
    """The rows of the table: for each feature, the rights that it adds."""
    for name, values, before in FEATURES:
        known = set(rights(render(before))) if before is not None else set()
        for account, group, resources, verbs, place in dict.fromkeys(rights(render(values))):
            if (account, group, resources, verbs, place) not in known:
                yield f"| {account} | {name} | {group} | {resources} | {verbs} | {place} |\n"


def test_the_page_has_every_right_that_the_chart_grants() -> None:
    table = HEAD + "".join(rows())
    assert table in PAGE, table


def test_no_right_reaches_every_secret_or_everything() -> None:
    for _, group, resources, verbs, _ in (each for feature in FEATURES for each in rights(render(feature.values))):
        assert "*" not in f"{group}{resources}{verbs}"
        assert not resources.startswith("secrets") or "`model-injector-ca`" in resources
