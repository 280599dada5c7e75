"""Runs the webhook and the init containers of a pod on this machine, with a real download.

Starts an S3 server and the webhook with a temporary CA, and sends the AdmissionReview of the manifest's pod. Writes a
sample of each requested model, runs the commands of the init containers with the real s5cmd, and lists the files that
the application would see.
"""

import argparse
import difflib
import hashlib
import json
import secrets
import signal
import ssl
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.support import programs, rclone
from tests.support.kubelet import expand
from tests.support.reviews import apply, operations, pod_of, review
from tests.support.webhook import running_webhook
from webhook.fetching.script import SCRIPT

ROOT = Path(__file__).parents[1]
BUCKET, PREFIX = "my-ml-bucket", "model-artifacts"
INJECTED = "model-injector.io/injected"
JSON = dict[str, Any]


class Failure(Exception):
    """The demo cannot continue."""


def main() -> int:
    options = _options()
    try:
        pod = _pod(options.manifest)
        if options.server:
            _mutate(pod, options.server, options.ca)
            return 0
        with ExitStack() as stack:
            work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="model-injector-demo-")))
            bucket = _made(work / "s3" / BUCKET)
            endpoint = stack.enter_context(rclone.serve(bucket.parent, work / "s3.log"))
            settings = {"bucket": BUCKET, "prefix": PREFIX, "region": "us-east-1", "endpointUrl": endpoint}
            webhook = stack.enter_context(running_webhook(_made(work / "webhook"), settings))
            print(f"== The webhook listens at {webhook.url}, with a certificate of a temporary CA")
            changed = _mutate(pod, webhook.url, webhook.folder / "ca.crt")
            for model in json.loads(changed["metadata"].get("annotations", {}).get(INJECTED, "[]")):
                _make_sample(model["uri"], bucket.parent)
            volumes = _run_init_containers(changed, work)
            _show_files(changed, volumes)
            if options.keep:
                _keep(webhook.url, webhook.folder / "ca.crt")
    except (Failure, httpx.HTTPError, OSError, yaml.YAMLError, programs.MissingProgram, RuntimeError) as error:
        print(f"scripts/demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0 if options.keep else 130
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__.splitlines()[0])
    parser.add_argument(
        "manifest",
        nargs="?",
        type=Path,
        default=ROOT / "examples" / "deployment.yaml",
        help="a Pod or a workload with a pod template; default: examples/deployment.yaml",
    )
    parser.add_argument("--keep", action="store_true", help="leave everything running until Ctrl-C")
    parser.add_argument("--server", metavar="URL", help="only send the pod to this webhook, and show the changes")
    parser.add_argument("--ca", type=Path, metavar="FILE", help="the CA of that webhook's certificate")
    return parser.parse_args()


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _pod(manifest: Path) -> JSON:
    document = yaml.safe_load(manifest.read_text())
    try:
        pod: JSON = document if document["kind"] == "Pod" else pod_of(document)
        asks = pod["metadata"]["annotations"] and pod["spec"]["containers"]
    except (KeyError, TypeError):
        asks = False
    if not asks:
        raise Failure(f"{manifest} is not a Pod or a workload with annotations on its pod template; add them")
    return pod


def _make_sample(uri: str, buckets: Path) -> None:
    files = {
        "config.json": b'{"architecture": "sample"}\n',
        "model.safetensors": secrets.token_bytes(8 * 1024 * 1024),
        "tokenizer/vocab.txt": b"hello\nworld\n",
    }
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items())
    folder = buckets / uri.removeprefix("s3://")
    for name, content in {**files, "SHA256SUMS": sums.encode()}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    print(f"== A sample model is at {uri}/, on a local S3 server")


def _mutate(pod: JSON, url: str, ca: Path | None) -> JSON:
    """Send the pod to the webhook, print the difference, and return the pod as the API server would store it."""
    namespace = pod["metadata"].get("namespace", "default")
    trust = ssl.create_default_context(cafile=ca)
    with httpx.Client(base_url=url, verify=trust, trust_env=False) as client:
        response = client.post("/mutate", json=review(pod, namespace))
    if response.status_code != 200:
        raise Failure(f"the webhook answered {response.status_code}: {response.text}")
    answer = response.json()["response"]
    for warning in answer.get("warnings", ()):
        print(f"warning: {warning}", file=sys.stderr)
    if not answer["allowed"]:
        raise Failure(f"the pod is refused: {answer['status']['message']}")
    changed = apply(pod, operations(response.json()))
    print("== What the webhook changes in the pod")
    print("".join(difflib.unified_diff(_lines(pod), _lines(changed), "requested", "created")) or "nothing\n")
    return changed


def _lines(pod: JSON) -> list[str]:
    """The lines of the pod as YAML, with the script abbreviated."""

    def short(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: short(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [short(inner) for inner in value]
        return "(fetch.sh)" if value == SCRIPT else value

    return yaml.safe_dump(short(pod), sort_keys=False, width=120).splitlines(keepends=True)


def _run_init_containers(pod: JSON, work: Path) -> dict[str, Path]:
    """Run each init container that the webhook added, as kubelet would. Returns the folder of each volume."""
    containers = pod["spec"].get("initContainers", ())
    added = [container for container in containers if "model-fetch" in container.get("command", ())]
    if not added:
        raise Failure("the webhook added no init container; add the annotation model-injector.io/model to the pod")
    volumes = {
        mount["name"]: work / "volumes" / mount["name"] for container in added for mount in container["volumeMounts"]
    }
    credentials = {"AWS_ACCESS_KEY_ID": rclone.ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": rclone.SECRET_KEY}
    for container in added:
        print(f"== The init container {container['name']} runs, with the real s5cmd")
        mount = container["volumeMounts"][0]
        folder = volumes[mount["name"]]
        folder.mkdir(parents=True, exist_ok=True)
        declared = {variable["name"]: variable.get("value", "") for variable in container.get("env", ())}
        env = {**declared, **credentials, "TERMINATION_LOG": str(work / "termination-log")}
        words = [expand(word, env) for word in (*container["command"], *container["args"])]
        # In a container, the volume is mounted at this path. Here, a folder replaces it.
        command = [
            word.replace(mount["mountPath"], str(folder), 1) if word.startswith("/model-") else word for word in words
        ]
        path = f"{programs.s5cmd().parent}:/usr/bin:/bin"
        status = subprocess.run(command, env={"PATH": path, **env}, check=False).returncode
        print(f"   termination message: {(work / 'termination-log').read_text().strip()}")
        if status:
            raise Failure(
                f"the init container {container['name']} failed with exit status {status}; see its output above"
            )
    return volumes


def _show_files(pod: JSON, volumes: dict[str, Path]) -> None:
    for container in pod["spec"]["containers"]:
        for mount in container.get("volumeMounts", ()):
            if mount["name"] in volumes:
                print(f"== Files of the container {container['name']} under {mount['mountPath']}")
                folder = volumes[mount["name"]] / mount.get("subPath", "")
                for file in sorted(path for path in folder.rglob("*") if path.is_file()):
                    print(f"   {file.stat().st_size:>10}  {mount['mountPath']}/{file.relative_to(folder)}")


def _keep(url: str, ca: Path) -> None:
    print("\n== Everything keeps running until Ctrl-C. To try another manifest:")
    print(f"   scripts/demo --server {url} --ca {ca} my-deployment.yaml", flush=True)
    signal.pause()


if __name__ == "__main__":
    signal.signal(
        signal.SIGTERM, lambda number, _: sys.exit(128 + number)
    )  # raises, so that child processes are stopped, too
    raise SystemExit(main())
