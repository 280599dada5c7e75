"""What a registry of images, or its token server, may answer."""

import json
from typing import NamedTuple

from hypothesis import strategies as st

from tests.support.generators.text import HOSTILE, json_bytes, json_values


class RegistryAnswer(NamedTuple):
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes


def _header(text: str) -> str:
    """A text as a header can carry it."""
    return "".join(each for each in text if each.isprintable() and ord(each) < 256)


_CHALLENGES = [
    'Bearer realm="https://registry.example.com/token",service="s",scope="repository:a:pull"',
    'Bearer realm="http://other.example.com/token"',
    'Bearer realm="ftp://x"',
    'Bearer realm=""',
    "Bearer",
    'Basic realm="x"',
    "Negotiate, Basic",
    "",
]
_VALUES = {
    "WWW-Authenticate": st.sampled_from(_CHALLENGES),
    "Location": st.one_of(
        st.sampled_from(
            [
                *(
                    "/v2/models/my-model/blobs/uploads/1?state=x",
                    "https://other.example.com/u",
                    "http://[",
                    "//user:secret@x",
                ),
                *(
                    "https://user:secret@registry.example.com/x",
                    "?",
                    "http://registry.example.com:99999/",
                    "https://x:-1/",
                ),
            ]
        ),
        HOSTILE,
    ),
    "Retry-After": st.one_of(st.sampled_from(["5", "²", "-1", "Wed, 21 Oct 9999 07:28:00 GMT", "9" * 400]), HOSTILE),
    "Range": st.one_of(st.sampled_from(["0-5", "bytes=0-9", "0-", "0-" + "9" * 30]), HOSTILE),
    "Content-Length": st.sampled_from(["0", "7", "x"]),
    "Docker-Content-Digest": st.one_of(st.just(f"sha256:{'d' * 64}"), HOSTILE),
}
_token = st.fixed_dictionaries(
    {"token": st.one_of(st.just("t0ken"), HOSTILE)},
    optional={"expires_in": st.one_of(st.integers(-(2**70), 2**70), st.floats(allow_nan=False), HOSTILE)},
)
_errors = st.fixed_dictionaries({"errors": st.lists(st.fixed_dictionaries({"code": HOSTILE, "message": HOSTILE}))})


@st.composite
def _headers(draw: st.DrawFn) -> dict[str, str]:
    names = draw(st.lists(st.sampled_from(sorted(_VALUES)), unique=True, max_size=4))
    return {name: _header(draw(_VALUES[name])) for name in names}


registry_answers = st.builds(
    RegistryAnswer,
    st.sampled_from([200, 201, 202, 204, 301, 307, 400, 401, 401, 403, 404, 416, 429, 503]),
    _headers(),
    st.one_of(json_bytes(st.one_of(_token, _errors, json_values)), st.just(json.dumps({"token": "t0ken"}).encode())),
)
