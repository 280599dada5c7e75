"""What annotations ask for, and what is said where they can't."""

from decimal import Decimal

import pytest

from tests.annotations.asking import PREFIX, SETTINGS, asked, refusal
from webhook.annotations.contract import ANNOTATIONS
from webhook.annotations.parsing import parse
from webhook.model.request import PodRequest
from webhook.settings import Settings


def test_a_model_and_a_version_are_enough() -> None:
    (model,) = asked(model="my-model", version="1.2.3").models
    assert (model.model, model.version, model.source, model.strategies) == (
        "my-model",
        "1.2.3",
        "default",
        ("s3-init",),
    )
    assert (model.mount_path, model.model_path, model.containers) == ("/model-artifacts", None, ())
    (options,) = model.options
    assert (model.read_only, options.volume, options.medium, options.size_limit) == (True, None, "disk", None)
    assert (options.verify, options.timeout) == ("size", 1800)


def test_every_annotation_is_heard() -> None:
    request = asked(
        model="my-org/my-model",
        version="1.2.3",
        source="research",
        strategy="s3-init",
        mount_path="/models/",
        model_path="/opt/model",
        containers="app, worker",
        env_prefix="LLM",
        service_account="reader",
        read_only="false",
        medium="memory",
        size_limit="2Gi",
        verify="sha256",
        timeout="1h30m",
        fetch_cpu_request="500m",
        fetch_cpu_limit="2",
        fetch_memory_request="1Gi",
        fetch_memory_limit="2Gi",
        inject="true",
    )
    (model,) = request.models
    assert request.service_account == "reader"
    assert (model.model, model.source, model.mount_path, model.model_path) == (
        "my-org/my-model",
        "research",
        "/models",
        "/opt/model",
    )
    assert (model.containers, model.env_prefix, model.read_only) == (("app", "worker"), "LLM", False)
    (options,) = model.options
    assert (options.medium, options.size_limit, options.verify) == ("memory", Decimal(2**31), "sha256")
    assert (options.timeout, options.fetch_cpu_request, options.fetch_memory_limit) == (5400, "500m", "2Gi")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", ""),
        ("model", "../up"),
        ("model", "a//b"),
        ("model", "/a"),
        ("model", "a b"),
        ("model", "a/$(HOME)"),
        ("model", "-rf"),
        ("model", "x" * 201),
        ("version", "1/2"),
        ("version", "$(id)"),
        ("version", ""),
        ("version", ".."),
        ("source", "else"),
        ("strategy", "magic"),
        ("mount_path", "relative"),
        ("mount_path", "/"),
        ("mount_path", "/a/../b"),
        ("mount_path", "/a//b"),
        ("mount_path", "/a:b"),
        ("model_path", "/$(HOME)"),
        ("containers", ""),
        ("containers", "app,,web"),
        ("containers", "App"),
        ("service_account", "Reader"),
        ("env_prefix", "1MODEL"),
        ("env_prefix", "MY-MODEL"),
        ("env_prefix", "MODEL=1"),
        ("env_prefix", "_"),
        ("env_prefix", "false"),
        ("env_prefix", "M" * 129),
        ("read_only", "no"),
        ("volume", "my_volume"),
        ("medium", "Memory"),
        ("size_limit", "0"),
        ("size_limit", "-1Gi"),
        ("size_limit", "much"),
        ("verify", "md5"),
        ("timeout", "30"),
        ("timeout", "0m"),
        ("timeout", "8000h"),
        ("fetch_cpu_request", "two"),
        ("inject", "False"),
    ],
)
def test_a_wrong_value_is_refused_with_the_annotation_the_value_and_what_is_allowed(name: str, value: str) -> None:
    message = refusal(**{"model": "my-model", "version": "1.2.3", name: value})
    (declared,) = (one for one in ANNOTATIONS if one.name == name.replace("_", "-"))
    assert f"{PREFIX}{declared.name}: {value[:100]!r}"[:100] in message
    assert "write " in message
    if name != "source":
        assert declared.allowed in message


def test_a_long_value_is_shown_in_part() -> None:
    assert len(refusal(model="x" * 100_000, version="1")) < 400


def test_a_value_without_end_is_refused() -> None:
    assert "at most 4096 characters" in refusal(model="a", version="1", containers=",".join(["app"] * 2000))


def test_a_model_without_a_version_is_refused() -> None:
    assert refusal(model="my-model").startswith("annotation model-injector.io/version: is missing; write a version")


def test_a_settings_version_stands_in_for_a_missing_one() -> None:
    settings = Settings(bucket="my-ml-bucket", defaults={"version": "1.0.0"})
    assert parse({f"{PREFIX}model": "my-model"}, settings).models[0].version == "1.0.0"


@pytest.mark.parametrize(
    ("name", "nearest"), [("modle", "model"), ("mountPath", "mount-path"), ("service_account", "service-account")]
)
def test_an_unknown_annotation_is_a_warning_that_names_the_nearest_known_one(name: str, nearest: str) -> None:
    request = parse({f"{PREFIX}model": "m", f"{PREFIX}version": "1", PREFIX + name: "x"}, SETTINGS)
    assert request.warnings == (f"unknown annotation {PREFIX}{name}; did you mean {PREFIX}{nearest}?",)


def test_thousands_of_unknown_annotations_are_a_few_warnings() -> None:
    request = parse({f"{PREFIX}unknown-{index}": "x" for index in range(5000)}, SETTINGS)
    assert len(request.warnings) == 9
    assert request.warnings[-1].startswith("4992 more")


def test_what_we_write_ourselves_is_no_unknown_annotation() -> None:
    assert parse({f"{PREFIX}injected": "[]", f"{PREFIX}pinned": "{}"}, SETTINGS) == PodRequest()


def test_annotations_without_a_model_are_warned_of() -> None:
    request = asked(version="1.2.3", mount_path="/m")
    assert not request.models
    assert "without model-injector.io/model nothing is injected" in request.warnings[0]


def test_another_prefix_is_heard_where_the_settings_say_so() -> None:
    settings = Settings(bucket="my-ml-bucket", annotation_prefix="models.example.com")
    assert parse({"models.example.com/model": "m", "models.example.com/version": "1"}, settings).models
    assert not parse({f"{PREFIX}model": "m", f"{PREFIX}version": "1"}, settings).models


def test_entries_of_models_take_what_they_do_not_say_from_the_pods_annotations() -> None:
    models = """
    - {model: a, version: 1.10}
    - model: b
      version: 2026-11-01
      mountPath: /b
      containers: [x, y]
      readOnly: false
      fetchCpuRequest: 1
    """
    a, b = asked(models=models, mount_path="/all", verify="sha256").models
    assert (a.version, a.mount_path, a.options[0].verify) == ("1.10", "/all", "sha256")
    assert (b.version, b.mount_path, b.containers) == ("2026-11-01", "/b", ("x", "y"))
    assert (b.read_only, b.options[0].fetch_cpu_request) == (False, "1")


@pytest.mark.parametrize(
    ("models", "place", "allowed"),
    [
        ("", "models", "a YAML list"),
        ("[]", "models", "of 1 to 32 models"),
        ("model: a", "models", "a YAML list"),
        ("[a]", "models[0]", "a mapping"),
        ("[{version: 1}]", "models[0]", "a mapping"),
        ("[{model: a, version: 1}, {model: ../b, version: 1}]", "models[1].model", "a model's name"),
        ("[{model: a, version: 1, mountpath: /b}]", "models[0]", "mountPath"),
        ("[{model: a, version: 1, serviceAccount: x}]", "models[0]", "one of"),
        ("[{model: a}]", "models[0].version", "a version"),
        ("[{model: a, version: {b: c}}]", "models[0].version", "a version"),
        ("[{model: a, version: 1, containers: []}]", "models[0].containers", "names of containers"),
        ("[{model: a, version: 1", "models", "valid YAML"),
        ("[&x {model: a, version: 1}, *x]", "models", "without aliases"),
        ("[[[[[]]]]]", "models", "flat mappings"),
        ("[{model: a, version: 1, ? [x] : y}]", "models", "valid YAML"),
        ("a: \x00", "models", "valid YAML"),
        ("[" * 30_000, "models", "flat mappings"),
        ("[" + "{model: a, version: 1}," * 33 + "]", "models", "of 1 to 32 models"),
        ("x" * 40_000, "models", "at most 32768 characters"),
    ],
)
def test_a_wrong_list_of_models_is_refused_with_the_place_of_the_fault(models: str, place: str, allowed: str) -> None:
    message = refusal(models=models)
    assert message.startswith(f"annotation {PREFIX}{place}: ")
    assert allowed in message
    assert len(message) < 1000


def test_model_and_models_exclude_each_other() -> None:
    assert "only one of" in refusal(model="a", version="1", models="[{model: b, version: 1}]")


@pytest.mark.parametrize("ours", ["medium", "size-limit"])
def test_a_volume_of_the_pods_own_takes_nothing_that_is_for_ours(ours: str) -> None:
    value = {"medium": "memory", "size-limit": "1Gi"}[ours]
    message = refusal(model="a", version="1", volume="cache", **{ours.replace("-", "_"): value})
    assert message.startswith(f"annotation {PREFIX}{ours}: ")
    assert f"and {PREFIX}volume" in message


@pytest.mark.parametrize(
    ("text", "prefix"), [("LLM", "LLM"), ("MY_MODEL_", "MY_MODEL"), ("_x", "_x"), ("none", ""), ("None", "")]
)
def test_the_prefix_of_variables_is_a_word_or_none(text: str, prefix: str) -> None:
    assert asked(model="a", version="1", env_prefix=text).models[0].env_prefix == prefix


def test_the_prefix_is_shared_by_the_models_that_have_none_of_their_own() -> None:
    models = "[{model: a, version: 1, envPrefix: MODEL}, {model: b, version: 1}, {model: c, version: 1}]"
    assert [model.shares_env_prefix for model in asked(models=models).models] == [False, True, True]
    assert not asked(models="[{model: a, version: 1}]").models[0].shares_env_prefix
    assert not asked(model="a", version="1", env_prefix="A").models[0].shares_env_prefix


def test_an_entry_has_a_prefix_of_its_own_or_the_pods_or_that_of_the_settings() -> None:
    models = "[{model: a, version: 1, envPrefix: A}, {model: b, version: 1}]"
    assert [model.env_prefix for model in asked(models=models, env_prefix="none").models] == ["A", ""]
    settings = Settings(bucket="my-ml-bucket", defaults={"envPrefix": "ML"})
    assert [model.env_prefix for model in parse({f"{PREFIX}models": models}, settings).models] == ["A", "ML"]


@pytest.mark.parametrize(
    ("namespace", "annotations", "expected"),
    [
        ("prod-a", {"model": "llama-8b"}, ("s3-mount", "s3-init")),
        ("prod-a", {"model": "llama-8b", "strategy": "s3-init"}, ("s3-init",)),
        ("prod-a", {"model": "encoder"}, ("volume",)),
        ("prod-a", {"models": "[{model: encoder}, {model: llama-8b}]"}, ("volume",)),
        ("dev", {"model": "llama-8b"}, ("s3-init",)),
    ],
)
def test_rules_set_the_default_strategy_of_models_and_namespaces(
    namespace: str, annotations: dict[str, str], expected: tuple[str, ...]
) -> None:
    settings = Settings(
        bucket="my-ml-bucket",
        defaults={
            "version": "1",
            "strategyRules": [
                {"namespaces": ["prod-*"], "models": ["llama-*"], "strategy": "s3-mount, s3-init"},
                {"namespaces": ["prod-*"], "strategy": "volume"},
            ],
        },
    )
    named = {PREFIX + name: value for name, value in annotations.items()}
    model = parse(named, settings, namespace).models[0]
    assert model.strategies == expected
    assert model.is_default_strategy == ("strategy" not in annotations)
