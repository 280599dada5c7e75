"""Settings from a file and the environment, and the one line where they can't be."""

from pathlib import Path

import pytest

from tests.settings.conftest import Load
from webhook.settings.loading import InvalidSettings, Setting, declared, load


def test_a_bucket_is_enough(loaded: Load) -> None:
    settings = loaded("bucket: my-ml-bucket")
    assert list(settings.all_sources) == ["default"]
    assert settings.all_sources["default"].bucket == "my-ml-bucket"


def test_the_file_has_camel_case_names_and_durations_as_people_write_them(loaded: Load) -> None:
    settings = loaded(
        "{bucket: my-ml-bucket, endpointUrl: 'http://minio:9000', fetch: {timeout: 1h, numWorkers: 64},"
        " defaults: {mountPath: /models}, prefix: /models/}"
    )
    assert (settings.endpoint_url, settings.prefix) == ("http://minio:9000", "models")
    assert (settings.fetch.timeout, settings.fetch.num_workers) == (3600, 64)
    assert settings.defaults.mount_path == "/models"


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0), ("0s", 0), ("'0'", 0), ("300", 300), ("5m", 300), ("1d", 86400)]
)
def test_a_pause_may_be_zero(loaded: Load, text: str, seconds: int) -> None:
    settings = loaded(f"{{bucket: abc, controller: {{rollouts: {{pause: {text}}}}}}}")
    assert settings.controller.rollouts.pause == seconds


def test_sources_come_beside_the_default_one(loaded: Load) -> None:
    settings = loaded(
        "{bucket: my-ml-bucket, region: eu-west-1, sources: {research: {bucket: rrr, requesterPays: true}}}"
    )
    assert settings.all_sources["default"].region == "eu-west-1"
    assert settings.all_sources["research"].requester_pays
    assert not settings.all_sources["research"].region


@pytest.mark.parametrize(
    "bucket", ["my.bucket.with.dots", "My_Old_Bucket", "my-ap-abcdefghijklmnopqrstuvwxyz123456euw1a-s3alias"]
)
def test_names_of_buckets_and_aliases_of_access_points_stay(loaded: Load, bucket: str) -> None:
    assert loaded(f"bucket: {bucket}").all_sources["default"].bucket == bucket


@pytest.mark.parametrize(
    "url",
    [
        "http://minio:9000",
        "https://s3.dualstack.eu-west-1.amazonaws.com",
        "https://bucket.vpce-0a1b2c3d-abcdefgh.s3.eu-west-1.vpce.amazonaws.com",
        "https://storage.googleapis.com/",
        "http://[fd00::1]:9000",
        "https://store.example.com/s3/path_1",
    ],
)
def test_endpoints_stay(loaded: Load, url: str) -> None:
    assert loaded(f"{{bucket: abc, endpointUrl: '{url}'}}").endpoint_url == url


@pytest.mark.parametrize("separator", [":", "/"])
def test_an_arn_of_an_access_point_has_no_slash(loaded: Load, separator: str) -> None:
    arn = "arn:aws-cn:s3:cn-north-1:123456789012:accesspoint"
    settings = loaded(f"{{bucket: '{arn}{separator}my-ap', region: cn-north-1}}")
    assert settings.all_sources["default"].bucket == f"{arn}:my-ap"


def test_the_environment_wins_over_the_file(loaded: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_INJECTOR_BUCKET", "from-environment")
    monkeypatch.setenv("MODEL_INJECTOR_FETCH__NUM_WORKERS", "7")
    monkeypatch.setenv("MODEL_INJECTOR_FETCH__RESOURCES__LIMITS__MEMORY", "1Gi")
    monkeypatch.setenv("MODEL_INJECTOR_SOURCES", '{"research": {"bucket": "rrr", "endpointUrl": "http://x"}}')
    settings = loaded("{bucket: from-file, fetch: {numWorkers: 64, concurrency: 3}}")
    assert settings.bucket == "from-environment"
    assert (settings.fetch.num_workers, settings.fetch.concurrency) == (7, 3)
    assert settings.fetch.resources.limits.memory == "1Gi"
    assert settings.all_sources["research"].endpoint_url == "http://x"


def test_a_commands_options_win_over_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_INJECTOR_BUCKET", "my-ml-bucket")
    monkeypatch.setenv("MODEL_INJECTOR_SERVER__PORT", "1")
    assert load(None, {"port": 2}).server.port == 2


@pytest.mark.parametrize("setting", list(declared()), ids=lambda setting: setting.path)
def test_every_setting_can_come_from_the_environment(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_INJECTOR_BUCKET", "my-ml-bucket")
    monkeypatch.setenv(setting.variable, "# odd #")
    try:
        effect = repr(load())
    except InvalidSettings as error:
        effect = str(error)
    assert "# odd #" in effect or f" {setting.path}" in effect or setting.variable in effect


def test_what_kubernetes_puts_into_the_environment_for_a_service_of_our_name_is_no_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MODEL_INJECTOR_BUCKET", "my-ml-bucket")
    names = ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTPS", "PORT", "PORT_443_TCP", "PORT_443_TCP_ADDR")
    for name in (*names, *(f"METRICS_{name}" for name in names)):
        monkeypatch.setenv(f"MODEL_INJECTOR_{name}", "tcp://10.0.0.1:443")
    assert load().server.port == 8443


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "no bucket is set"),
        ("buket: my-ml-bucket", "unknown setting buket; did you mean bucket?"),
        ("{bucket: abc, fetch: {numWorker: 3}}", "unknown setting fetch.numWorker; did you mean fetch.numWorkers?"),
        ("{bucket: abc, fetch: {timeout: soon}}", "setting fetch.timeout: 'soon' is not a duration such as 30m"),
        ("{bucket: abc, fetch: {timeout: 0s}}", "setting fetch.timeout: '0s' is not a duration such as 30m"),
        ("{bucket: abc, controller: {rollouts: {pause: ''}}}", "controller.rollouts.pause: '' is not a duration"),
        ("{bucket: abc, controller: {rollouts: {pause: 2d}}}", "setting controller.rollouts.pause: "),
        ("{bucket: abc, fetch: {numWorkers: 0}}", "setting fetch.numWorkers: "),
        (
            "{bucket: abc, fetch: {resources: {limits: {memory: 5x}}}}",
            "fetch.resources.limits.memory: '5x' is not a quantity",
        ),
        ("{bucket: abc, fetch: {resources: {limits: {memory: [5]}}}}", "setting fetch.resources.limits.memory"),
        (
            "{bucket: abc, fetch: {resources: {requests: {memory: 1Gi}}}}",
            "requests.memory 1Gi is more than limits.memory",
        ),
        ("{bucket: abc, fetch: {env: [{name: a}]}}", "env: a is invalid; set either value"),
        ("{bucket: abc, fetch: {env: [{value: a}]}}", "env: the name None is invalid; use letters, digits and _"),
        ("{bucket: abc, fetch: {env: [{name: a, value: 1}]}}", "env: a is invalid; set either value (a string)"),
        ("{bucket: abc, fetch: {caBundle: nonsense}}", "setting fetch.caBundle"),
        (
            "{bucket: 's3://abc/d/e/'}",
            "setting bucket: 's3://abc/d/e/' is more than a bucket's name; set bucket to 'abc'",
        ),
        ("{bucket: 'abc/d/e'}", "set bucket to 'abc', and prefix to 'd/e'"),
        ("{bucket: 'arn:aws-cn:s3:::abc'}", "set bucket to 'abc'"),
        ("{bucket: 'arn:aws:s3::123456789012:accesspoint/abc.mrap'}", "is a multi-region access point"),
        ("{bucket: 'arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-01/accesspoint/abc'}", "S3 on Outposts"),
        ("{bucket: 'arn:aws:s3-object-lambda:us-east-1:123456789012:accesspoint/abc'}", "Object Lambda"),
        ("{bucket: abc--euw1-az1--x-s3}", "setting bucket: 'abc--euw1-az1--x-s3' is a directory bucket of S3 Express"),
        ("{bucket: abc.mrap}", "setting bucket: 'abc.mrap' is a multi-region access point"),
        (
            "{sources: {research: {bucket: ap--op-s3}}}",
            "setting sources.research.bucket: 'ap--op-s3' is an access point",
        ),
        ("{bucket: 'arn:aws:s3:::abc'}", "setting bucket: "),
        ("{bucket: 'arn:aws:s3:eu-west-1:123456789012:accesspoint/abc'}", "is in eu-west-1, and region is ''"),
        (
            "{bucket: 'arn:aws:s3:eu-west-1:123456789012:accesspoint/abc', region: eu-west-1, endpointUrl: 'http://x'}",
            "cannot be reached by an endpointUrl",
        ),
        *(
            (f"{{bucket: abc, endpointUrl: '{url}'}}", "setting endpointUrl: ")
            for url in (
                "minio:9000",
                "ftp://minio",
                "http://",
                "http:///",
                "http://[::1",
                "http://a:80:80",
                "http://a:x",
            )
        ),
        ("{bucket: abc, prefix: a//b}", "setting prefix"),
        ("{bucket: abc, prefix: ../b}", "setting prefix"),
        ("{bucket: 'a b c'}", "setting bucket"),
        ("{bucket: abc, layout: '{version}'}", "setting layout"),
        ("{bucket: abc, defaults: {mountPath: models}}", "setting defaults.mountPath"),
        ("{bucket: abc, defaults: {strategy: magic}}", "setting defaults.strategy"),
        ("{bucket: abc, sources: {default: {bucket: abc}}}", "are the same source"),
        ("{bucket: abc, sources: {other: {}}}", "setting sources.other.bucket"),
        ("{bucket: abc, server: {port: 70000}}", "setting server.port"),
        ("{bucket: abc, defaults: {version: latest}}", "defaults.version 'latest' needs a catalog"),
        ("{bucket: abc, sources: {eu.west: {bucket: abc}}}", "setting sources.eu.west"),
        ("{bucket: abc, fetch: {env: [{name: A, valueFrom: 5}]}}", "env: A is invalid"),
        ("{bucket: abc, annotationPrefix: a..b}", "setting annotationPrefix"),
        ("{bucket: abc, fetch: {image: ':::'}}", "setting fetch.image"),
        ("- bucket", "settings have to be a mapping"),
        ("{bucket: [}", "settings.yaml is not YAML: line 1, column 11: "),
        ("bucket: abc\nprefix: a: b", "line 2, column 10: mapping values are not allowed here"),
        ("bucket: 2026-99-99", "settings.yaml is not YAML"),
        ("{bucket: abc, 3: 4}", "unknown setting 3"),
    ],
)
def test_a_setting_that_can_not_be_is_one_clear_line(loaded: Load, text: str, line: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        loaded(text)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_variable_under_our_prefix_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_INJECTOR_BUCKT", "my-ml-bucket")
    with pytest.raises(InvalidSettings, match="MODEL_INJECTOR_BUCKT; did you mean MODEL_INJECTOR_BUCKET"):
        load()


def test_a_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="No such file"):
        load(tmp_path / "none.yaml")


def test_a_secret_in_the_settings_shows_in_no_message(loaded: Load) -> None:
    with pytest.raises(InvalidSettings) as caught:
        loaded("{bucket: abc, fetch: {env: [{name: AWS_SECRET_ACCESS_KEY, value: hush, more: 1}], numWorkers: x}}")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["password: hush: x", "*hush", "!hush x", "&hush a\n&hush b", "{hush: [}", "- hush\nb: c", "a: 'hush"]
)
def test_a_file_that_is_not_yaml_is_not_quoted(loaded: Load, text: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        loaded(text)
    assert "hush" not in str(caught.value)


def test_a_control_character_in_a_setting_is_no_second_line(loaded: Load) -> None:
    with pytest.raises(InvalidSettings, match=r"^unknown setting buc\?ket; did you mean bucket\?$"):
        loaded('"buc\\nket": abc')


def test_every_setting_has_its_reason() -> None:
    assert all(setting.field.description for setting in declared())
