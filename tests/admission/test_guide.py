"""The guide's application, annotated as in examples/deployment.yaml, becomes the guide's manifest."""

from collections.abc import Callable
from pathlib import Path

import yaml

from tests.admission.conftest import Injector
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
          image: registry.example.com/my-inference-app:3.5.0
          ports: [{name: app-port, containerPort: 6060}]
          volumeMounts: [{mountPath: /app/model-artifacts, name: model-artifacts}]
      volumes:
        - {emptyDir: {}, name: model-artifacts}
"""


EXAMPLE = Path(__file__).parents[2] / "examples" / "deployment.yaml"


def test_the_annotated_example_becomes_the_guides_manifest(configured: Callable[..., Injector]) -> None:
    wanted = pod_of(yaml.safe_load(GUIDE))["spec"]
    asked = pod_of(yaml.safe_load(EXAMPLE.read_text()))
    found = configured()(asked)["spec"]
    assert asked["spec"].keys() == {"containers"}
    assert found.keys() == wanted.keys() | {"serviceAccount"}

    assert found["serviceAccountName"] == wanted["serviceAccountName"]
    assert found["volumes"] == wanted["volumes"]

    (download,), (fetch,) = wanted["initContainers"], found["initContainers"]
    assert fetch["image"] == f"{download['image']}:v2.3.0"
    mount, in_place_of_the_api_token = fetch["volumeMounts"]
    assert [mount] == download["volumeMounts"]
    assert in_place_of_the_api_token["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount"
    source, target = download["command"][2].split()[2:]
    assert fetch["command"][:2] == download["command"][:2]
    assert fetch["args"][:2] == [source, target]

    (app,), (guides_app,) = found["containers"], wanted["containers"]
    (mount,), (guides_mount,) = app["volumeMounts"], guides_app["volumeMounts"]
    assert mount == {**guides_mount, "readOnly": True}
    assert {key: app[key] for key in guides_app if key != "volumeMounts"} == {
        key: value for key, value in guides_app.items() if key != "volumeMounts"
    }
    assert app.keys() - guides_app.keys() == {"env", "resources"}
