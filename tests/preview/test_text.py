"""A manifest's text after a patch: what its author wrote stays, and every reader finds what the API server has."""

import re

import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.preview.previews import previewed
from tests.support.generators.pods import pods
from webhook.preview import SERVED, manifests, read

ASKED = {"model-injector.io/model": "my-model", "model-injector.io/version": "1.2.3"}
COMMENT = re.compile(r"#c\d+")


class Indented(yaml.SafeDumper):
    """Lists in mappings with an indent, as many people write them."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, indentless=False)


@st.composite
def written(draw: st.DrawFn) -> tuple[str, bool]:
    """A pod as people write them: any style, and comments on lines of their own. And whether all is in block style."""
    pod, in_blocks = draw(pods()), draw(st.booleans())
    pod = {**pod, "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "annotations": ASKED}}
    text = yaml.dump(
        pod,
        Dumper=draw(st.sampled_from([yaml.SafeDumper, Indented])),
        indent=draw(st.sampled_from([2, 4])),
        default_flow_style=False if in_blocks else None,
        sort_keys=draw(st.booleans()),
        allow_unicode=draw(st.booleans()),
        width=draw(st.sampled_from([20, 1000])),
    )
    lines, ends = list[str](), line_ends(text)
    for number, line in enumerate(text.splitlines()):
        if number in ends and draw(st.integers(0, 9)) == 0:
            lines.append(" " * draw(st.integers(0, 8)) + f"#c{len(lines)}")
        lines.append(line)
    ending = draw(st.sampled_from(["\n", "\n", "\r\n"]))
    head = draw(st.sampled_from(["", "---\n", "# head\n---\n"]))
    end = draw(st.sampled_from(["", ending, f"{ending}...{ending}"]))
    whole = head + ending.join(lines) + end
    (document,) = read(whole.encode(), SERVED)
    assume(document.value == pod)  # PyYAML writes `y` without quotes, which kubectl takes for true
    return whole, in_blocks


def line_ends(text: str) -> set[int]:
    """The lines before which a comment may stand: those that no scalar and no `{…}` of several lines goes through."""
    inside, lines = set[int](), len(text.splitlines())
    nodes = [yaml.compose(text, yaml.CSafeLoader)]
    while nodes:
        node = nodes.pop()
        assert node
        if not isinstance(node, yaml.CollectionNode) or node.flow_style:
            inside |= set(range(node.start_mark.line + 1, node.end_mark.line + 1))
        elif isinstance(node, yaml.MappingNode):
            nodes += [child for pair in node.value for child in pair]
        else:
            nodes += node.value
    return set(range(lines)) - inside


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(written())
def test_whatever_its_style_the_text_is_read_as_the_patched_manifest_and_keeps_its_comments(
    case: tuple[str, bool],
) -> None:
    """In block style, no line of it is taken away either."""
    text, in_blocks = case
    found = previewed(text)
    after = manifests(text.encode(), found, SERVED)
    (document,) = read(after.encode(), SERVED)
    assert document.value == yaml.safe_load(after) == found.documents[0].manifest
    assert COMMENT.findall(after) == COMMENT.findall(text)
    if in_blocks:
        removed = [line for line in found.documents[0].diff.splitlines()[2:] if line.startswith("-")]
        assert all(re.search(r"\[\]|{}|null", line) for line in removed), removed


def test_hunks_are_numbered_by_the_lines_of_the_whole_manifest() -> None:
    pods = [
        "# one\n---\napiVersion: v1\nkind: Service\n",
        f"# two\napiVersion: v1\nkind: Pod\nmetadata:\n  annotations: {ASKED}\nspec:\n  containers:\n  - name: a\n",
        f"# three\napiVersion: v1\nkind: Pod\nmetadata:\n  annotations: {ASKED}\nspec:\n  containers:\n  - name: b\n",
    ]
    text = "---\n".join(pods)
    lines = text.splitlines()
    for document, own in zip(previewed(text).documents[1:], pods[1:], strict=True):
        hunks = re.split(r"^@@ -(\d+),(\d+) \+\d+,\d+ @@\n", document.diff, flags=re.MULTILINE)[1:]
        assert hunks
        for start, length, hunk in zip(hunks[::3], hunks[1::3], hunks[2::3], strict=True):
            before = [line[1:] for line in hunk.splitlines() if line[0] in " -"]
            assert before == lines[int(start) - 1 :][: int(length)]
            assert set(before) <= set(own.splitlines())
