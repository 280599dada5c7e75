"""Bodies of requests to /mutate: reviews of pods and workloads, whole and damaged."""

import json
from typing import Any

from hypothesis import strategies as st

from tests.support.generators.annotations import annotated_pods
from tests.support.generators.text import HOSTILE, json_bytes
from tests.support.reviews import review

JSON = dict[str, Any]
_WORKLOADS = {
    "Deployment": ("apps", "deployments"),
    "StatefulSet": ("apps", "statefulsets"),
    "DaemonSet": ("apps", "daemonsets"),
    "ReplicaSet": ("apps", "replicasets"),
    "Job": ("batch", "jobs"),
    "CronJob": ("batch", "cronjobs"),
    "LeaderWorkerSet": ("leaderworkerset.x-k8s.io", "leaderworkersets"),
}


def workload_of(pod: JSON, kind: str) -> JSON:
    """A workload whose template is this pod."""
    group = _WORKLOADS[kind][0]
    spec: JSON = {"template": {"metadata": pod["metadata"], "spec": pod["spec"]}}
    if kind == "CronJob":
        spec = {"schedule": "* * * * *", "jobTemplate": {"spec": spec}}
    if kind == "LeaderWorkerSet":
        spec = {"leaderWorkerTemplate": {"workerTemplate": spec["template"]}}
    return {"apiVersion": f"{group}/v1", "kind": kind, "metadata": {"name": "app"}, "spec": spec}


workloads = st.builds(workload_of, annotated_pods(), st.sampled_from(sorted(_WORKLOADS)))


@st.composite
def _reviews(draw: st.DrawFn) -> JSON:
    namespace = draw(st.one_of(st.just("apps"), st.just("apps"), st.sampled_from(["kube-system", ""]), HOSTILE))
    operation = draw(st.sampled_from(["CREATE", "CREATE", "CREATE", "UPDATE", "UPDATE", "DELETE", "CONNECT"]))
    if draw(st.booleans()):
        return review(draw(annotated_pods()), namespace, operation=operation)
    changed = draw(workloads)
    group, resource = _WORKLOADS[changed["kind"]]
    return review(
        changed,
        namespace,
        operation=operation,
        kind={"group": group, "version": "v1", "kind": changed["kind"]},
        resource={"group": group, "version": "v1", "resource": resource},
        oldObject=draw(st.one_of(st.none(), st.just(changed), workloads)),
    )


_whole = _reviews().map(lambda value: json.dumps(value, separators=(",", ":")).encode(errors="replace"))
review_bodies = st.one_of(_whole, _whole, json_bytes(_reviews()), st.binary(max_size=200))
"""Bodies of any kind."""
