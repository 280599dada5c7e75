"""Measures the webhook against an empty route on the same uvicorn, and the init container against bare s5cmd.

Both sides run alternately, so that other load on the machine affects them equally. Figures are medians over the rounds,
and ratios are medians of the ratios of each round. Prints JSON.
"""

import argparse
import contextlib
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import uvloop
import yaml

from certs import Authority
from load import Figures, load
from tests.support import moto_s3, programs, rclone
from tests.support.container import InitContainer
from tests.support.reviews import pod_of, review
from tests.support.webhook import HOST, Webhook, running_webhook
from webhook.preview import SERVED

ROOT = Path(__file__).parents[1]
CONNECTIONS = (1, 16)
CATALOGS = (10, 10_000)
"""Numbers of versions in the bucket. The webhook with the last one is compared with the empty routes."""
POD_BYTES = 5000
Round = dict[str, Figures]


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="model-injector-bench-") as folder:
        result = {
            "processors": len(os.sched_getaffinity(0)),
            "python": platform.python_version(),
            "mutate": _mutate(Path(folder), options.rounds, options.seconds),
            "fetch": _fetch(Path(folder), options.rounds, options.mib),
        }
    print(json.dumps(result, indent=2))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each side runs (5)")
    parser.add_argument("--seconds", type=float, default=3, help="how long each run under load takes (3)")
    parser.add_argument("--mib", type=int, default=512, help="size of the model that is downloaded (512)")
    return parser.parse_args()


def _mutate(work: Path, rounds: int, seconds: float) -> dict[str, Any]:
    """Latency and throughput of /mutate and of the empty routes, the webhook's memory, and its seconds until ready."""
    with contextlib.ExitStack() as stack:
        s3 = stack.enter_context(moto_s3.serve())
        authority = Authority.create()
        webhooks = {count: stack.enter_context(_webhook(work / str(count), s3, count, authority)) for count in CATALOGS}
        webhook, ready = webhooks[CATALOGS[-1]]
        folder = webhook.folder
        command = (sys.executable, str(ROOT / "scripts" / "floor.py"), str(folder / "tls.crt"), str(folder / "tls.key"))
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        with programs.running_server(command, ready=re.compile(r"port (\d+)"), log=work / "floor.log", env=env) as port:
            urls = {
                "floor": (HOST, int(port), "/empty"),
                "bare": (HOST, int(port), "/bare"),
                **{f"catalog_{count}": (HOST, running.port, "/mutate") for count, (running, _) in webhooks.items()},
            }
            runs = {count: _rounds(urls, webhook, count, rounds, seconds) for count in CONNECTIONS}
            memory = _resident_mib(webhook.process.pid)
            previews = _beside_previews(urls[f"catalog_{CATALOGS[-1]}"], webhook, rounds, seconds)
    return {
        **{f"connections_{count}": _summary(measured) for count, measured in runs.items()},
        "resident_mib": memory,
        "ready_seconds": round(ready, 2),
        "previews": previews,
    }


@contextlib.contextmanager
def _webhook(folder: Path, s3: str, versions: int, authority: Authority) -> Iterator[tuple[Webhook, float]]:
    """Run a webhook with all features on and that many versions in its bucket. Yields it and its startup seconds."""
    folder.mkdir()
    bucket = moto_s3.make_bucket(s3)
    for number in range(versions):
        bucket.put(f"model-artifacts/my-model-1.{number // 100}.{number % 100}/model.safetensors", b"weights")
    settings = {
        "bucket": bucket.name,
        "prefix": "model-artifacts",
        "endpointUrl": s3,
        "region": "us-east-1",
        "catalog": {"mode": "s3", "preflight": "enforce"},
        "rules": [{"namespaces": ["other-*"], "allow": False}],
        "preview": {"auth": "none"},
    }
    started = time.perf_counter()
    with running_webhook(folder, settings, authority, env=moto_s3.CREDENTIALS) as webhook:
        while webhook.ops("/readyz").status_code != 200:
            time.sleep(0.005)
        yield webhook, time.perf_counter() - started


def _rounds(
    urls: dict[str, tuple[str, int, str]], webhook: Webhook, connections: int, rounds: int, seconds: float
) -> list[Round]:
    """Measure each URL in rounds. Runs an additional first round for warm-up, and drops its figures."""
    body = _body()
    return [
        {name: uvloop.run(load(url, webhook.trust, body, connections, seconds)) for name, url in urls.items()}
        for _ in range(rounds + 1)
    ][1:]


def _beside_previews(
    url: tuple[str, int, str], webhook: Webhook, rounds: int, seconds: float
) -> dict[str, float | dict[str, float]]:
    """/mutate on one connection, alone and while a client previews a manifest with nearly the maximum of nodes."""
    pod = yaml.safe_load((ROOT / "examples" / "deployment.yaml").read_text())
    large = yaml.safe_dump({**pod, "x": ["a"] * (SERVED.nodes - 1000)}).encode()
    took, pairs = list[float](), list[tuple[Figures, Figures]]()
    for _ in range(rounds + 1):
        alone = uvloop.run(load(url, webhook.trust, _body(), 1, seconds))
        with _asking(webhook, large, took):
            pairs.append((alone, uvloop.run(load(url, webhook.trust, _body(), 1, seconds))))
    (worker,) = _children(webhook.process.pid)

    def ratio(figure: str) -> float:
        ratios = [getattr(beside, figure) / getattr(alone, figure) for alone, beside in pairs[1:]]
        return round(float(statistics.median(ratios)), 2)

    return {
        "bytes": len(large),
        "seconds": round(statistics.median(took), 2),
        "worker_resident_mib": _resident_mib(worker),
        "mutate_beside_to_alone": {figure: ratio(figure) for figure in ("p50_ms", "p99_ms", "requests_per_second")},
    }


@contextlib.contextmanager
def _asking(webhook: Webhook, manifest: bytes, took: list[float]) -> Iterator[None]:
    """Run a client that previews a manifest repeatedly, and appends the seconds of each preview to `took`."""
    stopped = threading.Event()

    def ask() -> None:
        with webhook.client() as client:
            while not stopped.is_set():
                started = time.perf_counter()
                client.post("/preview", content=manifest).raise_for_status()
                took.append(time.perf_counter() - started)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def _summary(rounds: Sequence[Round]) -> dict[str, Any]:
    def median(name: str, figure: str) -> float:
        return float(statistics.median(getattr(figures[name], figure) for figures in rounds))

    def ratio(figure: str, other: str) -> float:
        ratios = [getattr(figures[mutate], figure) / getattr(figures[other], figure) for figures in rounds]
        return round(float(statistics.median(ratios)), 2)

    small, mutate = (f"catalog_{count}" for count in CATALOGS)
    figures = ("p50_ms", "p99_ms", "requests_per_second")
    return {
        **{name: {figure: median(name, figure) for figure in figures} for name in rounds[0]},
        **{
            f"{mutate}_to_{name}": {figure: ratio(figure, name) for figure in figures}
            for name in ("floor", "bare", small)
        },
    }


def _body() -> bytes:
    """The AdmissionReview of the example's pod, including the defaults that an API server sets, as JSON."""
    pod = pod_of(yaml.safe_load((ROOT / "examples" / "deployment.yaml").read_text()))
    pod["metadata"]["annotations"]["model-injector.io/version"] = "^1.0"
    token = {
        "name": "kube-api-access-x7k2p",
        "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
        "readOnly": True,
    }
    sources = [{"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}]
    pod["spec"] |= {
        "serviceAccountName": "default",
        "serviceAccount": "default",
        "volumes": [{"name": token["name"], "projected": {"defaultMode": 420, "sources": sources}}],
    }
    app = pod["spec"]["containers"][0]
    app |= {"env": [], "volumeMounts": [token], "imagePullPolicy": "IfNotPresent"}
    body = json.dumps(review(pod))
    while len(body) < POD_BYTES:
        app["env"].append({"name": f"SETTING_{len(app['env'])}", "value": "a value that some application needs"})
        body = json.dumps(review(pod))
    return body.encode()


def _children(pid: int) -> list[int]:
    statuses = [file.read_text() for file in Path("/proc").glob("[0-9]*/status")]
    return [int(re.findall(r"^Pid:\s+(\d+)", status, re.M)[0]) for status in statuses if f"\nPPid:\t{pid}\n" in status]


def _resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def _fetch(work: Path, rounds: int, mib: int) -> dict[str, Any]:
    """Seconds to download a model of four large and 300 small files, with bare s5cmd and with the init container."""
    model = work / "s3" / "bucket" / "my-model-1.2.3"
    (model / "small").mkdir(parents=True)
    for index in range(4):
        (model / f"part-{index}.safetensors").write_bytes(os.urandom(1 << 20) * (mib // 4))
    for index in range(300):
        (model / "small" / f"{index}.json").write_bytes(os.urandom(2000))
    image = programs.install_image(work / "image")
    flags = ("--numworkers", "32", "--retry-count", "3")
    seconds: dict[str, list[float]] = {"s5cmd": [], "init_container": []}
    with rclone.serve(work / "s3", work / "s3.log") as endpoint:
        env = {
            "AWS_ACCESS_KEY_ID": rclone.ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": rclone.SECRET_KEY,
            "AWS_REGION": "us-east-1",
            "S3_ENDPOINT_URL": endpoint,
        }
        uri, target = "s3://bucket/my-model-1.2.3/*", work / "volume"
        bare = [str(programs.s5cmd()), *flags, "cp", "-c", "16", uri, f"{target}/"]
        container = InitContainer(uri, target, image, env, work)
        for _ in range(rounds + 1):
            started = time.perf_counter()
            subprocess.run(bare, env=env, check=True, stdout=subprocess.DEVNULL)
            seconds["s5cmd"].append(time.perf_counter() - started)
            shutil.rmtree(target)
            outcome = container(limit=600, parts=16, flags=flags)
            if outcome.reason != "Complete":
                raise RuntimeError(outcome)
            seconds["init_container"].append(outcome.seconds)
            shutil.rmtree(target)
    ratios = [
        container / bare for container, bare in zip(seconds["init_container"][1:], seconds["s5cmd"][1:], strict=True)
    ]
    return {
        "mib": mib,
        **{f"{name}_seconds": round(statistics.median(measured[1:]), 2) for name, measured in seconds.items()},
        "init_container_to_s5cmd": round(statistics.median(ratios), 2),
    }


if __name__ == "__main__":
    raise SystemExit(main())
