"""Sends an annotated pod to the API server as a dry run, and checks that it comes back with its model.

Arguments: the namespace, the prefix of the annotations, the pod's service account, and more annotations as JSON. Only
Python itself is needed.
"""

import json
import os
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
MODEL, VERSION = "helm-test", "0.0.0"


def main(namespace: str, prefix: str, account: str, annotations: str) -> str:
    """Send the pod. Returns a line that describes the result; exits with one that describes the failure."""
    pod = {
        "metadata": {
            "generateName": "model-injector-test-",
            "annotations": {
                f"{prefix}/model": MODEL,
                f"{prefix}/version": VERSION,
                f"{prefix}/env-prefix": "MODEL",
                **json.loads(annotations),
            },
            "labels": {f"{prefix}/inject": "true"},
        },
        "spec": {
            "serviceAccountName": account,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "app",
                    "image": "never-pulled",
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                    "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": {"cpu": "1", "memory": "1Mi"}},
                }
            ],
        },
    }
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    request = urllib.request.Request(
        f"https://{f'[{host}]' if ':' in host else host}:{port}/api/v1/namespaces/{namespace}/pods?dryRun=All",
        json.dumps({"apiVersion": "v1", "kind": "Pod", **pod}).encode(),
        {"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}", "Content-Type": "application/json"},
    )
    trust = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    try:
        with urllib.request.urlopen(request, timeout=30, context=trust) as response:
            created = json.load(response)
    except urllib.error.HTTPError as error:
        message = json.load(error).get("message", "")
        if f"model {MODEL} {VERSION} is not in" in message:  # the webhook's own words, where its catalog is enforced
            return f"the webhook has answered, and refuses what there is none of, as it should: {message}"
        sys.exit(f"the API server refuses the pod: {message}")
    except OSError as error:
        sys.exit(f"the API server does not answer: {error}")
    injected = created["metadata"].get("annotations", {}).get(f"{prefix}/injected")
    app = next(container for container in created["spec"]["containers"] if container["name"] == "app")
    paths = [variable["value"] for variable in app.get("env", ()) if variable["name"] == "MODEL_PATH"]
    if not (injected and paths):
        sys.exit(f"the pod came back without its model; does the webhook inject into the namespace {namespace}?")
    strategies = ", ".join(model["strategy"] for model in json.loads(injected))
    return f"the pod came back with its model by {strategies}, and MODEL_PATH={paths[0]}"


if __name__ == "__main__":
    print(main(*sys.argv[1:]))
