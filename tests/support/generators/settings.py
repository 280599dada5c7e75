"""Settings files: YAML with settings, most of them valid, and damaged YAML."""

from typing import Any

import yaml
from hypothesis import strategies as st

from tests.support.generators.text import HOSTILE, damaged, json_values
from webhook.settings.loading import declared

SECRET = "a-password-that-nobody-may-see"  # noqa: S105 - it is none
_PATHS = sorted(setting.path for setting in declared())
_GOOD: dict[str, Any] = {
    "bucket": "my-ml-bucket",
    "prefix": "model-artifacts",
    "catalog": {"mode": "s3", "preflight": "enforce"},
    "fetch": {"env": [{"name": "HTTPS_PROXY", "value": f"http://user:{SECRET}@proxy:3128"}]},
}
_values: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from([True, 0, -1, 10**30, 1.5, "30s", "1Gi", "s3", [], {}, None, "x" * 3000, SECRET]),
    json_values,
    HOSTILE,
)


def _nested(path: str, value: Any) -> dict[str, Any]:
    head, _, rest = path.partition(".")
    return {head: _nested(rest, value) if rest else value}


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    both = {
        key: _merged(one[key], other[key]) for key in one.keys() & other.keys() if _are_groups(one[key], other[key])
    }
    return {**one, **other, **both}


def _are_groups(one: Any, other: Any) -> bool:
    return isinstance(one, dict) and isinstance(other, dict)


@st.composite
def _files(draw: st.DrawFn) -> bytes:
    document = dict(_GOOD) if draw(st.integers(0, 3)) else {}
    for path in draw(st.lists(st.one_of(st.sampled_from(_PATHS), HOSTILE), max_size=4)):
        document = _merged(document, _nested(path, draw(_values)))
    if not draw(st.integers(0, 4)):
        document = {"config": document}
    return yaml.safe_dump(document, allow_unicode=draw(st.booleans())).encode(errors="replace")


_texts = st.lists(st.one_of(HOSTILE, st.sampled_from(["password: ", SECRET, "\n", ": ", "- ", "{", "\t", '"'])))
settings_files = st.one_of(
    _files(), _files(), damaged(_files()), _texts.map(lambda parts: "".join(parts).encode(errors="replace"))
)
"""Contents of files."""
