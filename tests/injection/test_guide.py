"""The guide's application, annotated instead of altered, becomes the guide's manifest."""

from collections.abc import Callable
from typing import Any

import yaml

from tests.injection.conftest import Injector
from tests.support.reviews import pod_of

GUIDE = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: my-inference-app, namespace: apps}
spec:
  selector: {matchLabels: {app.kubernetes.io/name: my-inference-app}}
  replicas: 1
  template:
    metadata:
      labels: {app.kubernetes.io/name: my-inference-app}
    spec:
      serviceAccountName: my-inference-app
      initContainers:
        - name: download
          image: peakcom/s5cmd
          command:
            - /bin/sh
            - -c
            - '/s5cmd sync s3://my-ml-bucket/model-artifacts/my-model-1.2.3/* /model-artifacts/my-model-1.2.3'
          volumeMounts: [{mountPath: /model-artifacts, name: model-artifacts}]
      containers:
        - name: app
          image: my-inference-app:3.5.0
          ports: [{name: app-port, containerPort: 6060}]
          volumeMounts: [{mountPath: /app/model-artifacts, name: model-artifacts}]
      volumes:
        - {emptyDir: {}, name: model-artifacts}
"""


def before(guide: dict[str, Any]) -> dict[str, Any]:
    """The guide's pod as its team writes it once models are injected: without what the guide had to add."""
    pod = pod_of(guide)
    spec = {key: value for key, value in pod["spec"].items() if key in {"containers"}}
    app = {key: value for key, value in spec["containers"][0].items() if key != "volumeMounts"}
    asked = {
        "model": "my-model",
        "version": "1.2.3",
        "mount-path": "/app/model-artifacts",
        "service-account": "my-inference-app",
    }
    annotations = {f"model-injector.io/{name}": value for name, value in asked.items()}
    return {**pod, "metadata": {**pod["metadata"], "annotations": annotations}, "spec": {**spec, "containers": [app]}}


def test_the_annotated_example_becomes_the_guides_manifest(configured: Callable[..., Injector]) -> None:
    guide = yaml.safe_load(GUIDE)
    wanted = pod_of(guide)["spec"]
    found = configured()(before(guide))["spec"]

    assert found["serviceAccountName"] == wanted["serviceAccountName"]
    assert found["volumes"] == wanted["volumes"]

    (download,), (fetch,) = wanted["initContainers"], found["initContainers"]
    assert fetch["image"].partition(":")[0] == download["image"]
    assert fetch["volumeMounts"] == download["volumeMounts"]
    source, target = download["command"][2].split()[2:]
    assert fetch["command"][:2] == download["command"][:2]
    assert fetch["args"][:2] == [source, target]

    (app,), (guides_app,) = found["containers"], wanted["containers"]
    (mount,), (guides_mount,) = app["volumeMounts"], guides_app["volumeMounts"]
    assert mount == {**guides_mount, "readOnly": True}
    assert {key: value for key, value in app.items() if key not in {"volumeMounts", "env"}} == {
        key: value for key, value in guides_app.items() if key != "volumeMounts"
    }
