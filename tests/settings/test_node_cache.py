"""Settings of the strategy node-cache that are refused, in the words of its operator's file."""

import pytest

from tests.settings.conftest import Load
from webhook.settings.loading import InvalidSettings
from webhook.strategies.node_cache import NodeCacheSettings

NO_SIZE = "is neither a share of the disk such as 50% nor a quantity such as 500Gi"
NO_PATH = "is not an absolute path such as /models"


def options(loaded: Load, text: str) -> NodeCacheSettings:
    settings = f"{{bucket: my-ml-bucket, catalog: {{mode: s3}}, strategies: {{node-cache: {text}}}}}"
    found = loaded(settings).of_strategies["node-cache"]
    assert isinstance(found, NodeCacheSettings)
    return found


@pytest.mark.parametrize(
    ("text", "setting", "problem"),
    [
        *(
            (f"budget: '{value}'", "budget", f"'{value}' {NO_SIZE}")
            for value in ("", "0%", "101%", "05%", "50 %", "-1Gi", "0", "1e400", "NaN", "half")
        ),
        ("budget: 5", "budget", "5 has no unit: write a share of the disk such as 50%, or a quantity such as 500Gi"),
        ("budget: 0.5", "budget", "0.5 has no unit"),
        *(
            (f"{name}: '{value}'", name, f"'{value}' {NO_PATH}")
            for name in ("folder", "kubeletFolder")
            for value in ("", "cache", "/", "/var/../etc", "/a//b")
        ),
        ("authenticationSource: node", "authenticationSource", "Input should be 'pod' or 'driver'"),
        ("prefetch: [{models: []}]", "prefetch.0.models", "at least 1 item"),
        ("prefetch: [{models: ['']}]", "prefetch.0.models.0", "at least 1 character"),
        ("prefetch: [{versions: ''}]", "prefetch.0.versions", "should match pattern"),
        ('prefetch: [{versions: "a\\n"}]', "prefetch.0.versions", "should match pattern"),
        ("prefetch: [{source: A_B}]", "prefetch.0.source", "'A_B' is not a DNS label"),
        (f"prefetch: [{','.join(['{}'] * 101)}]", "prefetch", "at most 100 items"),
        ("followAliases: perhaps", "followAliases", "a valid boolean"),
        ("placement: perhaps", "placement", "a valid boolean"),
        ("startupTaint: perhaps", "startupTaint", "a valid boolean"),
        ("peers: {service: 'http://peers'}", "peers.service", "should match pattern"),
        ("peers: {service: peers.example.svc}", "peers", "service is set, and keyFile is not"),
        ("peers: {port: 0}", "peers.port", "greater than or equal to 1"),
        ("peers: {port: 65536}", "peers.port", "less than or equal to 65535"),
    ],
)
def test_a_setting_that_cannot_be_is_named_with_what_it_may_be(
    text: str, setting: str, problem: str, loaded: Load
) -> None:
    with pytest.raises(InvalidSettings) as error:
        options(loaded, f"{{{text}}}")
    assert f"setting strategies.node-cache.{setting}: " in str(error.value)
    assert problem in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "meant"), [("budgets", "budget"), ("followAlias", "followAliases")])
def test_a_setting_that_is_unknown_is_told_its_likely_name(name: str, meant: str, loaded: Load) -> None:
    with pytest.raises(InvalidSettings) as error:
        options(loaded, f"{{{name}: x}}")
    assert str(error.value) == (
        f"unknown setting strategies.node-cache.{name}; did you mean strategies.node-cache.{meant}?"
    )


@pytest.mark.parametrize("budget", ["1%", "100%", "500Gi", "1e12", "1"])
def test_a_budget_is_a_share_of_the_disk_or_a_quantity(budget: str, loaded: Load) -> None:
    assert options(loaded, f"{{budget: '{budget}'}}").budget == budget


def test_versions_to_fetch_in_advance_are_the_newest_of_all_models_unless_named(loaded: Load) -> None:
    first, second = options(loaded, "{prefetch: [{}, {models: [llm-*], versions: '@champion'}]}").prefetch
    assert (first.source, first.models, first.versions) == ("default", ("*",), "latest")
    assert (second.source, second.models, second.versions) == ("default", ("llm-*",), "@champion")
