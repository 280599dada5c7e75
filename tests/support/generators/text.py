"""Texts that people, broken templates and attackers write, and damage to bytes."""

import json
from typing import Any

from hypothesis import strategies as st

HOSTILE = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            *("$(HOME)", "`id`", "$(id)", "a;id", "../../etc", "/a/../b", "//a", "a b", "a\nb", "-rf", "'\"", "*"),
            *(
                "",
                " ",
                "\0",
                "\x1b[31m",
                "\u2028",
                "\ud7ff",
                "null",
                "~",
                "<nil>",
                "{{ .Values.x }}",
                "${X}",
                "x" * 5000,
            ),
            # A pattern that tries all ways to split the repeated part takes for ever to find the last character.
            *(f"{part * 40}\0" for part in ("a", "1", "a-", "/a", "1.", "a,", "a ")),
            *("1e999999", "9" * 400, "[" * 200, "{" * 200, "&a [*a]", "!!python/name:os.system", "%", "@", "---"),
        ]
    ),
)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=20)
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=12), inner, max_size=4)),
    max_leaves=8,
)


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """Bytes, some of which are cut, replaced, repeated or added at one place."""
    body = draw(whole)
    first, last = sorted(draw(st.tuples(st.integers(0, len(body)), st.integers(0, len(body)))))
    return draw(
        st.sampled_from(
            [
                body,
                body[:last],
                body[:first] + body[last:],
                body[:last] + body[first:],
                body[:first] + draw(st.binary(max_size=8)) + body[last:],
                body[:first] + draw(HOSTILE).encode(errors="surrogatepass") + body[first:],
            ]
        )
    )


@st.composite
def changed(draw: st.DrawFn, value: Any) -> Any:
    """A JSON value with one of its parts replaced by another value, or removed."""
    if isinstance(value, dict) and value and draw(st.integers(0, 6)):
        key = draw(st.sampled_from(sorted(value)))
        if not draw(st.integers(0, 9)):
            return {other: inner for other, inner in value.items() if other != key}
        return {**value, key: draw(changed(value[key]))}
    if isinstance(value, list) and value and draw(st.integers(0, 6)):
        index = draw(st.integers(0, len(value) - 1))
        return [*value[:index], draw(changed(value[index])), *value[index + 1 :]]
    return draw(st.one_of(json_values, HOSTILE.map(_encodable)))


def _encodable(text: str) -> str:
    return text.encode(errors="replace").decode()


@st.composite
def json_bytes(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> bytes:
    """A JSON document, one time in two with a part changed, and one in four with damaged bytes."""
    value = draw(values)
    if draw(st.booleans()):
        value = draw(changed(value))
    body = json.dumps(value, ensure_ascii=draw(st.booleans())).encode(errors="replace")
    return body if draw(st.integers(0, 3)) else draw(damaged(st.just(body)))
