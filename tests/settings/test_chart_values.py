"""The chart's values in place of a settings file, where only what happens to pods is of interest."""

from pathlib import Path

import pytest
import yaml

from webhook.settings import Settings
from webhook.settings.loading import CHART_ONLY, InvalidSettings, load

VALUES = Path(__file__).parents[2] / "charts" / "model-injector" / "values.yaml"


def test_every_value_is_a_setting_or_known_to_be_none() -> None:
    settings = {field.alias for field in Settings.model_fields.values()}
    assert settings | CHART_ONLY == settings | set(yaml.safe_load(VALUES.read_text())) | {"enabled", "global"}


def test_the_charts_own_values_are_settings_but_for_the_bucket() -> None:
    with pytest.raises(InvalidSettings, match="no bucket is set"):
        load(VALUES, may_be_values=True)


def test_what_the_chart_takes_for_the_default_is_the_default(tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text(
        "{bucket: my-ml-bucket, layout: '', defaults: , replicaCount: 3, certificates: {certManager: {}}}"
    )
    assert load(tmp_path / "values.yaml", may_be_values=True) == Settings(bucket="my-ml-bucket")


def test_a_misspelt_value_is_none_of_them(tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text("{bucket: my-ml-bucket, default: {version: 1.2.3}}")
    with pytest.raises(InvalidSettings, match="unknown setting default; did you mean defaults"):
        load(tmp_path / "values.yaml", may_be_values=True)
