"""What kubelet does to a container's command and arguments before the container runtime sees them."""

from collections.abc import Mapping


def expand(text: str, env: Mapping[str, str]) -> str:
    """`text` with each `$(NAME)` replaced by the container's own variable.

    The rules are those of k8s.io/kubernetes/third_party/forked/golang/expansion: a reference ends at the first `)`; one
    that names no variable stays as it stands, and so does one that never ends; `$$` becomes `$`, wherever it stands.
    """
    done: list[str] = []
    at = 0
    while (dollar := text.find("$", at)) >= 0 and dollar + 1 < len(text):
        done.append(text[at:dollar])
        following = text[dollar + 1]
        closing = text.find(")", dollar + 2) if following == "(" else -1
        if closing >= 0:
            name = text[dollar + 2 : closing]
            done.append(env.get(name, f"$({name})"))
            at = closing + 1
        else:
            done.append("$" if following == "$" else f"${following}")
            at = dollar + 2
    return "".join((*done, text[at:]))
