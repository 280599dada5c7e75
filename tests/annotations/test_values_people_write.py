"""Values as people and their tools write them: understood, or refused with what to write instead."""

import pytest

from tests.annotations.asking import PREFIX, asked, refusal


@pytest.mark.parametrize("around", ["{}\n", "{}\r\n", " {}", "\t{} \n\n"])
def test_white_space_around_a_value_is_ignored(around: str) -> None:
    values = {"model": "my-model", "version": "^1.2", "read_only": "false", "timeout": "1d", "containers": "app"}
    request = asked(**{name: around.format(value) for name, value in values.items()})
    assert request == asked(**values)
    assert asked(model="a", version="1", inject=around.format("false")).opted_out


@pytest.mark.parametrize(("text", "seconds"), [("1d", 86_400), ("1d12h", 129_600), ("1w", 604_800), ("90s", 90)])
def test_a_duration_has_units_up_to_a_week(text: str, seconds: int) -> None:
    assert asked(model="a", version="1", timeout=text).models[0].options[0].timeout == seconds


@pytest.mark.parametrize("text", ["2w", "8d", "1h1d", "1.5d", "1D"])
def test_a_duration_that_is_too_long_or_in_disorder_is_refused(text: str) -> None:
    assert "write a duration of at most a week, such as 30m, 1h30m or 1d" in refusal(
        model="a", version="1", timeout=text
    )


@pytest.mark.parametrize(
    ("text", "model", "version"),
    [
        ("my-model@1.2.3", "my-model", '"1.2.3"'),
        ("my-model:1.2.3", "my-model", '"1.2.3"'),
        ("my-org/my-model@champion", "my-org/my-model", '"@champion"'),
        ("my-model:@champion", "my-model", '"@champion"'),
        ("my-model@latest", "my-model", '"latest"'),
        ("my-model:latest", "my-model", '"latest"'),
        ("my-model@v2", "my-model", '"v2"'),
        ("my-model@^1.2", "my-model", '"^1.2"'),
        ("my-model:blue", "my-model", '"blue"'),
        ("my-model @ >=1 <2", "my-model", '">=1 <2"'),
        ("my-model: 1.2.3", "my-model", '"1.2.3"'),
        ("my-model==1.2.3", "my-model", '"1.2.3"'),
    ],
)
def test_a_model_that_names_its_version_is_refused_with_the_two_annotations(
    text: str, model: str, version: str
) -> None:
    assert refusal(model=text) == (
        f"annotation {PREFIX}model: {text!r} also names a version; "
        f"write {PREFIX}model: {model} and {PREFIX}version: {version}"
    )
    place = f"{PREFIX}models[0]."
    assert f"write {place}model: {model} and {place}version: {version}" in refusal(models=f"[{{model: '{text}'}}]")


@pytest.mark.parametrize(
    ("text", "bucket", "folder"),
    [
        ("s3://my-ml-bucket/model-artifacts/my-model-1.2.3", "my-ml-bucket", "the model in the folder my-model-1.2.3"),
        ("s3://my-ml-bucket/models/my-model-1.2.3/*", "my-ml-bucket", "the model in the folder my-model-1.2.3"),
        ("S3://my-ml-bucket", "my-ml-bucket", "the model's name"),
        ("gs://bucket/a:b@c", "bucket", "the model in the folder a:b@c"),
        ("arn:aws:s3:::bucket/my-model", "bucket", "the model in the folder my-model"),
        ("s3://", "", "the model's name"),
        ("hf://my-org/my-model", "", "the model in the folder my-model"),
        ("https://bucket.s3.amazonaws.com/my-model", "", "the model in the folder my-model"),
    ],
)
def test_a_location_is_refused_with_the_annotations_source_model_and_version(
    text: str, bucket: str, folder: str
) -> None:
    source = f"the name of the source with the bucket {bucket}" if bucket else "a source's name"
    assert refusal(model=text, version="1") == (
        f"annotation {PREFIX}model: {text!r} is a location; write {PREFIX}source: {source} and {PREFIX}model: {folder} "
        f"and {PREFIX}version: its version"
    )


@pytest.mark.parametrize("text", ["my-model@sha256:abcd", "registry.example.com:5000/my-model:1.2.3", "my-model@"])
def test_no_version_is_proposed_that_would_be_refused(text: str) -> None:
    assert "is not allowed; write a model's name" in refusal(model=text)


@pytest.mark.parametrize("quote", ['"', "'", "`"])
def test_a_value_that_is_quoted_twice_is_told_so(quote: str) -> None:
    assert "is quoted twice; write a version" in refusal(model="a", version=f"{quote}1.2.3{quote}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("<nil>", "contains <nil>, which Helm writes for a value that is not set; write"),
        ("^<no value>", "contains <no value>, which Helm writes for a value that is not set; write"),
        ("%!s(<nil>)", "contains <nil>"),
        (
            "${VERSION}",
            "contains the placeholder ${VERSION}, which has to be replaced before the pod is created; write",
        ),
        ("$VERSION", "contains the placeholder $VERSION"),
        ("{{ .Values.version }}", "contains the placeholder {{ .Values.version }}"),
        ("$(VERSION)", "contains the placeholder $(VERSION)"),
        (" \n", "is empty; write"),
    ],
)
@pytest.mark.parametrize("name", ["model", "version", "mount_path", "timeout"])
def test_a_value_that_a_template_has_left_out_is_told_so(name: str, text: str, problem: str) -> None:
    message = refusal(**{"model": "a", "version": "1", name: text})
    assert message.startswith(f"annotation {PREFIX}{name.replace('_', '-')}: {text!r} {problem}")


@pytest.mark.parametrize("null", ["~", "null", "Null", "", "!!null x"])
def test_a_null_in_the_list_of_models_is_told_so(null: str) -> None:
    message = refusal(models=f"[{{model: a, version: {null}}}]")
    assert message.startswith(
        f"annotation {PREFIX}models[0].version: 'null' is how YAML reads ~, null and an empty value"
    )
    assert asked(models='[{model: "null", version: "~1"}]').models[0].model == "null"


def test_a_key_that_is_there_twice_is_refused() -> None:
    assert "a key is there twice" in refusal(models="[{model: a, version: 1, version: 2}]")


@pytest.mark.parametrize(
    ("models", "place"),
    [
        ("<no value>", "models: '<no value>' contains <no value>"),
        ("{{ .Values.models }}", "models: '{{ .Values.models }}' contains the placeholder"),
        ("[{model: a, version: {{ .v }}}]", "models: '[{model: a, version: {{ .v }}}]' contains the placeholder {{ .v"),
        ("[{model: a, version: <nil>}]", "models[0].version: '<nil>' contains <nil>"),
    ],
)
def test_a_list_of_models_that_a_template_has_not_filled_is_told_so(models: str, place: str) -> None:
    assert refusal(models=models).startswith(f"annotation {PREFIX}{place}")
