"""A team's manifest stays what it is when the platform delivers its model by another strategy.

The settings are those of the strategy's page in docs/strategies.
"""

import difflib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.admission.conftest import Injector
from tests.support.reviews import pod_of
from webhook.settings.loading import load

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
DOWNLOADED = (EXAMPLES / "deployment.yaml").read_text()
FOLDER = "/app/model-artifacts/my-model-1.2.3"
JSON = dict[str, Any]


@pytest.fixture(params=["s3-mount", "oci-image", "volume"])
def strategy(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def injector(strategy: str, tmp_path: Path) -> Injector:
    page = (ROOT / "docs" / "strategies" / f"{strategy}.md").read_text()
    (values,) = re.findall(r"```yaml\n(# values.yaml\n.*?)```", page, re.DOTALL)
    (tmp_path / "values.yaml").write_text(values)
    return Injector(load(tmp_path / "values.yaml"))


def of_models(pod: JSON) -> list[JSON]:
    models = json.loads(pod["metadata"]["annotations"]["model-injector.io/injected"])
    return [{name: value for name, value in model.items() if name != "strategy"} for model in models]


def test_another_strategy_is_one_annotation_and_the_application_sees_the_same(
    strategy: str, injector: Injector
) -> None:
    switched = (EXAMPLES / f"{strategy}.yaml").read_text()
    before, after = (
        [line for line in text.splitlines() if not line.startswith("#")] for text in (DOWNLOADED, switched)
    )
    changes = [line for line in difflib.ndiff(before, after) if not line.startswith("  ")]
    assert changes == [f"+         model-injector.io/strategy: {strategy}"]

    first, second = (injector(pod_of(yaml.safe_load(text))) for text in (DOWNLOADED, switched))
    (app,), (same_app,) = first["spec"]["containers"], second["spec"]["containers"]
    assert same_app["env"] == app["env"]
    assert {"name": "MODEL_PATH", "value": FOLDER} in app["env"]
    (whole,), (folder,) = app["volumeMounts"], same_app["volumeMounts"]
    assert (whole["mountPath"], folder["mountPath"]) == (FOLDER.rpartition("/")[0], FOLDER)
    assert whole["readOnly"] is folder["readOnly"] is True
    assert of_models(second) == of_models(first)
    assert second["spec"]["serviceAccountName"] == first["spec"]["serviceAccountName"]
    assert "initContainers" not in second["spec"]
