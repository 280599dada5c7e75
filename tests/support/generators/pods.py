"""Generated pods: of any shape that an API server could send, some with fields that no Kubernetes has yet."""

from typing import Any

from hypothesis import strategies as st

from tests.admission.conftest import JSON, PREFIX

label = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
_text = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12)
_unknown = st.dictionaries(
    st.sampled_from(["futureClass", "futureMode", "futurePolicy"]),
    st.one_of(
        _text, st.integers(-5, 5), st.booleans(), st.lists(_text, max_size=2), st.dictionaries(_text, _text, max_size=2)
    ),
    max_size=2,
)


@st.composite
def containers(draw: st.DrawFn, names: list[str], volumes: list[str]) -> list[JSON]:
    """Containers of these names, mounting some of these volumes at paths of their own."""
    made = []
    for name in names:
        container: JSON = {"name": name, "image": "app:1", **draw(_unknown)}
        if draw(st.booleans()):
            container["env"] = [
                {"name": variable, "value": draw(_text)}
                for variable in draw(st.lists(st.sampled_from(["HOME", "MODEL_PATH", "A", "B"]), unique=True))
            ]
        if draw(st.booleans()) and volumes:
            mounted = draw(st.lists(st.sampled_from(volumes), unique=True))
            container["volumeMounts"] = [
                {"name": volume, "mountPath": f"/own/{index}", **draw(_unknown)} for index, volume in enumerate(mounted)
            ]
        if draw(st.booleans()):
            container["securityContext"] = {"runAsUser": draw(st.sampled_from([0, 1000, 1000920000])), **draw(_unknown)}
        made.append(container)
    return made


@st.composite
def specs(draw: st.DrawFn) -> JSON:
    """A pod's spec."""
    volumes = [f"own-{name}" for name in draw(st.lists(label, max_size=3, unique=True))]
    names = draw(st.lists(label, min_size=1, max_size=6, unique=True))
    split = draw(st.integers(1, len(names)))
    spec: JSON = {"containers": draw(containers(names[:split], volumes)), **draw(_unknown)}
    init = draw(containers(names[split:], volumes))
    if draw(st.booleans()) or init:
        spec["initContainers"] = init
    if draw(st.booleans()):
        spec["initContainers"] = [
            {"name": "istio-proxy", "image": "proxy:1", "restartPolicy": "Always"},
            *spec.get("initContainers", []),
        ]
    if draw(st.booleans()) or volumes:
        sources: list[JSON] = [{"emptyDir": {}}, {"persistentVolumeClaim": {"claimName": "own"}}]
        spec["volumes"] = [{"name": name, **draw(st.sampled_from(sources)), **draw(_unknown)} for name in volumes]
    if draw(st.booleans()):
        spec["serviceAccountName"] = spec["serviceAccount"] = "default"
    if draw(st.booleans()):
        spec["securityContext"] = {"runAsUser": draw(st.sampled_from([0, 1000])), **draw(_unknown)}
    return spec


_path = st.from_regex(r"(/[A-Za-z0-9_@%+=,-][A-Za-z0-9._@%+=,-]{0,9}){1,3}", fullmatch=True)
_model = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}(/[A-Za-z0-9][A-Za-z0-9._-]{0,20})?", fullmatch=True)
_version = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,12}", fullmatch=True).filter(lambda text: text != "latest")
_quantity = st.builds("{}{}".format, st.integers(1, 900), st.sampled_from(["", "k", "Mi", "Gi"]))


@st.composite
def askings(draw: st.DrawFn, spec: JSON) -> dict[str, str]:
    """Annotations that a pod of this spec may have, by their names without the prefix."""
    own = [volume["name"] for volume in spec.get("volumes", [])]
    names = [container["name"] for container in spec["containers"]]
    optional: dict[str, st.SearchStrategy[str]] = {
        "mount-path": _path.map("/models{}".format),
        "model-path": _path.map("/model{}".format),
        "containers": st.lists(st.sampled_from(names), min_size=1, unique=True).map(",".join),
        "service-account": label,
        "read-only": st.sampled_from(["true", "false"]),
        "medium": st.sampled_from(["disk", "memory"]),
        "size-limit": _quantity,
        "verify": st.sampled_from(["size", "sha256", "none"]),
        "timeout": st.sampled_from(["30s", "1h", "1h30m"]),
        "fetch-memory-request": _quantity,
        "fetch-cpu-limit": _quantity,
    }
    if own:
        optional["volume"] = st.sampled_from(own)
    asked = {"model": draw(_model), "version": draw(_version)}
    return asked | {
        name: draw(optional[name]) for name in draw(st.lists(st.sampled_from(sorted(optional)), unique=True))
    }


@st.composite
def pods(draw: st.DrawFn) -> JSON:
    """A pod that asks for a model, or, one time in ten, for none."""
    spec = draw(specs())
    metadata: dict[str, Any] = {"generateName": "generated-", **draw(_unknown)}
    if draw(st.integers(0, 9)):
        asked = draw(askings(spec))
        metadata["annotations"] = {f"{PREFIX}/{name}": value for name, value in asked.items()} | {
            "other.io/x": draw(_text)
        }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
