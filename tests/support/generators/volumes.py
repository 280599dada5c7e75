"""Attributes and secrets of inline CSI volumes, as kubelet passes them on."""

import json

from hypothesis import strategies as st

from tests.support.generators.text import HOSTILE, json_values

SECRET = "a-token-that-nobody-may-see"  # noqa: S105 - it is none
_POD = "csi.storage.k8s.io/"
_GOOD = {
    f"{_POD}ephemeral": "true",
    f"{_POD}pod.namespace": "apps",
    f"{_POD}serviceAccount.name": "my-app",
    "model": "my-model",
    "version": "1.2.3",
    "source": "default",
    "asked": "@champion",
    "digest": "d" * 64,
    "verify": "sha256",
}
_tokens = st.one_of(
    st.just(json.dumps({"sts.amazonaws.com": {"token": SECRET, "expirationTimestamp": "2026-01-01T00:00:00Z"}})),
    json_values.map(json.dumps),
    st.just('{"sts.amazonaws.com": {"token": ["' + SECRET + '"]}}'),
    st.just(SECRET),
    HOSTILE,
)
_name = st.one_of(st.sampled_from([*_GOOD, "other"]), HOSTILE)


@st.composite
def volumes(draw: st.DrawFn) -> tuple[dict[str, str], dict[str, str]]:
    """Attributes and secrets: those that the webhook writes, with some changed, added or missing."""
    attributes = {**_GOOD, **draw(st.dictionaries(_name, HOSTILE, max_size=3))}
    for name in draw(st.lists(st.sampled_from(sorted(_GOOD)), max_size=1)):
        attributes.pop(name)
    tokens = f"{_POD}serviceAccount.tokens"
    if draw(st.booleans()):
        return {**attributes, tokens: draw(_tokens)}, {}
    return attributes, draw(st.dictionaries(st.sampled_from([tokens, "other"]), _tokens, max_size=2))
