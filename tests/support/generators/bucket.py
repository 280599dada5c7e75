"""What a bucket may hold or answer: manifests, aliases, images, withdrawals and listings, right and wrong."""

from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from hypothesis import strategies as st

from tests.support.generators.text import HOSTILE, damaged, json_bytes

_version = st.one_of(st.sampled_from(["1.2.3", "1.2.3-rc.1", "2.0.0", "2026-01-01", "latest", "01.2.3"]), HOSTILE)
_time = st.sampled_from(["2026-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "now"])
_file = st.fixed_dictionaries(
    {
        "path": st.one_of(st.sampled_from(["weights.bin", "../x", "/x", "manifest.json"]), HOSTILE),
        "size": st.one_of(st.integers(-(2**70), 2**70), st.integers(0, 10**9)),
        "sha256": st.sampled_from(["d" * 64, "", "D" * 64]),
    }
)
_manifest = st.fixed_dictionaries(
    {
        "model": st.one_of(st.just("my-model"), HOSTILE),
        "version": _version,
        "createdAt": _time,
        "files": st.lists(_file, max_size=3),
    }
)
_aliases = st.dictionaries(st.one_of(st.just("champion"), HOSTILE), _version, max_size=3)
_images = st.dictionaries(
    _version,
    st.fixed_dictionaries(
        {"reference": st.one_of(st.just(f"registry.example.com/my-model@sha256:{'d' * 64}"), HOSTILE)}
    ),
    max_size=3,
)
_withdrawals = st.dictionaries(
    _version,
    st.fixed_dictionaries({"reason": st.one_of(st.just("a wrong tokenizer"), HOSTILE), "at": _time}),
    max_size=3,
)
catalog_files = st.tuples(
    st.sampled_from(["manifest", "aliases", "images", "withdrawals"]),
    json_bytes(st.one_of(_manifest, _aliases, _images, _withdrawals)),
)
"""Pairs of what an object is read as, and its content."""


class S3Answer(NamedTuple):
    """A response of S3."""

    status: int
    headers: dict[str, str]
    body: bytes


def _element(name: str, *inner: str) -> str:
    return f"<{name}>{''.join(inner)}</{name}>"


def _text(value: Any) -> str:
    return escape("".join(each for each in str(value) if each.isprintable()))


@st.composite
def _listing(draw: st.DrawFn) -> bytes:
    keys = st.one_of(
        st.sampled_from(
            [
                *("model-artifacts/my-model-1.2.3/weights.bin", "model-artifacts/my-model-1.2.3/manifest.json"),
                *(
                    "model-artifacts/.aliases/my-model.json",
                    "model-artifacts/.withdrawn/my-model.json",
                    "model-artifacts/",
                ),
            ]
        ),
        HOSTILE.map(lambda name: f"model-artifacts/my-model-1.2.3/{name}"),
        HOSTILE,
    )
    parts = [_element("Name", "my-ml-bucket")]
    for key in draw(st.lists(keys, max_size=4)):
        size = draw(st.one_of(st.integers(-1, 10**12), st.sampled_from(["", "big", "1e3"])))
        members = [_element("Key", _text(key)), _element("Size", _text(size)), _element("ETag", '"e"')]
        parts.append(_element("Contents", *draw(st.permutations(members))[: draw(st.integers(1, 3))]))
    names = st.sampled_from(["model-artifacts/my-model-1.2.3/", "model-artifacts/a/", "x"])
    folders = draw(st.lists(names, unique=True))
    parts += [_element("CommonPrefixes", _element("Prefix", folder)) for folder in folders]
    if not draw(st.integers(0, 5)):
        parts.append(_element("EncodingType", draw(st.sampled_from(["url", "x"]))))
    return _element("ListBucketResult", *parts, _element("IsTruncated", "false")).encode(errors="replace")


_error = st.builds(
    lambda code, message: _element(
        "Error", _element("Code", _text(code)), _element("Message", _text(message))
    ).encode(),
    st.one_of(st.sampled_from(["AccessDenied", "NoSuchKey", "SlowDown", "RequestTimeTooSkewed"]), HOSTILE),
    HOSTILE,
)
s3_answers = st.builds(
    S3Answer,
    st.sampled_from([200, 200, 200, 200, 204, 206, 400, 403, 404, 412, 416]),
    st.dictionaries(
        st.sampled_from(["ETag", "Content-Type", "Content-Length", "x-amz-request-id"]),
        st.sampled_from(['"e"', "", "5", "text/html", "-1"]),
    ),
    st.one_of(
        _listing(),
        _listing(),
        damaged(_listing()),
        _error,
        st.just(b"<html><body>x</body></html>"),
        st.binary(max_size=50),
    ),
)
"""Answers to any request; none of a kind that is asked again after a pause."""


@st.composite
def version_answers(draw: st.DrawFn) -> list[S3Answer]:
    """Answers to the node cache, which reads a version: its manifest, or in its place a listing; a part of a file."""
    part = S3Answer(206, {"Content-Length": "1"}, b"x")
    if draw(st.booleans()):
        right = _manifest.map(lambda manifest: {**manifest, "model": "my-model", "version": "1.2.3"})
        body = draw(json_bytes(draw(st.sampled_from([right, _manifest]))))
        return [S3Answer(200, {"Content-Length": str(len(body))}, body), part]
    missing = _element("Error", _element("Code", "NoSuchKey"), _element("Message", "x")).encode()
    return [
        S3Answer(404, {}, missing),
        S3Answer(200, {}, draw(_listing())),
        draw(st.sampled_from([part, draw(s3_answers)])),
    ]
