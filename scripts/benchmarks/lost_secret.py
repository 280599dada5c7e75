"""For how long creations fail after the Secret with the webhook's authorities is lost."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Final

from benchmarks.creations import Pod, create
from benchmarks.report import Bound, Figure
from tests.e2e.release import Release
from tests.e2e.store import KEYS
from webhook.kubernetes.client import ClusterError, KubernetesClient

_SECONDS: Final = 20
"""For how long creations are tried after the loss."""
_PAUSE: Final = 0.05
_BOUND: Final = Bound(10)


def lose_secret(group: str, release: Release, api: KubernetesClient, pod: Pod) -> Iterator[Figure]:
    """Delete the Secret while the webhook runs; then delete it, kill the webhook, and start it again.

    Raises RuntimeError if the last creation fails as well.
    """
    _delete(release)
    yield Figure(group, "the Secret of the CA is deleted", "s", _failing(api, pod), bound=_BOUND)
    webhook = release.processes["webhook"]
    command = (sys.executable, "-m", "webhook", "serve", "--config", webhook.folder / "settings.yaml")
    env = {**os.environ, **KEYS, "KUBECONFIG": str(webhook.folder / "kubeconfig")}
    _delete(release)
    webhook.process.kill()
    webhook.process.wait()
    with (webhook.folder / "log").open("ab") as log, subprocess.Popen(command, env=env, stdout=log, stderr=log) as new:
        try:
            seconds = _failing(api, pod)
        finally:
            new.kill()
    yield Figure(group, "it is deleted, and the webhook is killed and started", "s", seconds, bound=_BOUND)


def _delete(release: Release) -> None:
    name = release.settings()["certificates"]["secret"]
    release.cluster.kubectl("delete", "secret", name, "--namespace", release.namespace)


def _failing(api: KubernetesClient, pod: Pod) -> float:
    """The seconds from now until creations succeed for good; 0 if none fails."""
    started, until = time.perf_counter(), 0.0
    while (now := time.perf_counter() - started) < _SECONDS:
        try:
            create(api, pod)
        except ClusterError:
            until = now + _PAUSE
        time.sleep(_PAUSE)
    if until > now - 1:
        raise RuntimeError(f"creations still fail after {_SECONDS} s")
    return until
