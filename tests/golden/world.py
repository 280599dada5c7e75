"""What golden manifests are decided with: a few installations by name, and the models that their buckets have.

Everything is the same each time: sizes, digests, the date of a manifest. Only ports change, and placeholders stand for
them in what is expected.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from tests.support import moto_s3
from tests.support.moto_s3 import MotoBucket
from webhook.catalog.bucket.manifest import Manifest, ManifestFile, sums

BUCKET: Final = "golden-models"
PREFIX: Final = "model-artifacts"
ENDPOINT: Final = "http://s3.example.com"
"""Stands for the S3 server's address."""
DENIED: Final = "http://denied.example.com"
"""Stands for that of one which lists names, and denies the lookup of a version."""

_PLAIN: Final = {"bucket": "my-ml-bucket", "prefix": PREFIX}
_S3: Final = {"bucket": BUCKET, "prefix": PREFIX, "region": "us-east-1", "endpointUrl": ENDPOINT}
KINDS: Final = (
    ("leaderworkerset.x-k8s.io", "v1", "leaderworkersets"),
    ("argoproj.io", "v1alpha1", "rollouts"),
    ("jobset.x-k8s.io", "v1alpha2", "jobsets"),
    ("ray.io", "v1", "rayclusters"),
    ("serving.knative.dev", "v1", "services"),
    ("serving.kserve.io", "v1beta1", "inferenceservices"),
    ("sparkoperator.k8s.io", "v1beta2", "sparkapplications"),
)
"""Group, version and resource of the kinds that the installation `kinds` names."""
SETTINGS: Final[Mapping[str, Mapping[str, Any]]] = {
    "plain": _PLAIN,
    "defaults": {
        **_PLAIN,
        "annotationPrefix": "models.example.com",
        "defaults": {"version": "1.0.0", "mountPath": "/models", "serviceAccount": "model-reader", "verify": "sha256"},
    },
    "platform": {**_PLAIN, "fetch": {"runAsUser": None}},
    "sources": {
        **_PLAIN,
        "sources": {"research": {"bucket": "research", "layout": "{model}/{version}", "region": "eu-west-1"}},
    },
    "rules": {
        **_PLAIN,
        "rules": [
            {"namespaces": ["team-a"], "models": ["team-a/*"]},
            {"models": ["team-a/*"], "allow": False, "message": "ask team A in #team-a"},
        ],
    },
    "catalog": {
        **_S3,
        "sources": {"private": {"bucket": BUCKET, "prefix": PREFIX, "region": "us-east-1", "endpointUrl": DENIED}},
        "catalog": {"mode": "s3", "preflight": "enforce"},
    },
    "node_image": {
        **_PLAIN,
        "strategies": {
            "node-image": {
                "nodeSelector": {"models.example.com/set": "november"},
                "tolerations": [{"key": "nvidia.com/gpu"}],
                "volume": "hostPath",
                "path": "/var/models",
            }
        },
    },
    "placement": {
        **_PLAIN,
        "annotationPrefix": "models.example.com",
        "strategies": {"node-cache": {"placement": True}},
    },
    "warn": {**_S3, "catalog": {"mode": "s3", "preflight": "warn"}},
    "mounts": {
        **_PLAIN,
        "defaults": {"serviceAccount": "model-reader"},
        "strategies": {
            "s3-mount": {"allowOther": False, "reserveHeadroom": True, "authenticationSource": "driver"},
            "oci-image": {"image": "registry.example.com/models/{model}:{version}", "pullSecrets": ["registry"]},
            "volume": {"source": {"persistentVolumeClaim": {"claimName": "models"}}, "folder": "models"},
        },
    },
    "kinds": {
        **_S3,
        "catalog": {"mode": "s3", "preflight": "enforce"},
        "workloads": {
            "kinds": [{"group": group, "version": version, "resource": name} for group, version, name in KINDS]
        },
    },
}
"""Settings by the name that a manifest's first line asks for: `# settings: catalog`."""


def publish_all(url: str) -> None:
    """Fill the bucket of an S3 server of moto's."""
    bucket = moto_s3.make_bucket(url, BUCKET)
    for version in ("1.0.0", "1.2.3", "1.3.0", "2.0.0"):
        _publish(bucket, "my-model", version, 1000)
    _publish(bucket, "my-org/llama", "3.1.0", 5_000_000)
    digest = _publish(bucket, "encoder", "2.0.0", 2_000)
    image = {"reference": f"registry.example.com/models/encoder@sha256:{'e' * 64}", "manifest": digest}
    bucket.put(f"{PREFIX}/.images/encoder.json", json.dumps({"2.0.0": image}).encode())
    bucket.put(f"{PREFIX}/.aliases/my-model.json", b'{"champion": "1.2.3"}')
    for version in ("1.0.0", "1.1.0"):
        _publish(bucket, "recalled", version, 1000)
    bucket.put(f"{PREFIX}/.aliases/recalled.json", b'{"champion": "1.1.0"}')
    withdrawal = {"reason": "a wrong tokenizer", "at": "2026-05-01T10:00:00Z"}
    bucket.put(f"{PREFIX}/.withdrawn/recalled.json", json.dumps({"1.1.0": withdrawal}).encode())
    bucket.put(f"{PREFIX}/copied-1.0.0/weights.bin", b"w" * 300)  # by hand, with no manifest
    bucket.put(f"{PREFIX}/.publishing/half-1.0.0", b"{}")
    bucket.put(f"{PREFIX}/half-1.0.0/weights.bin", b"w" * 300)
    _publish(bucket, "damaged", "1.0.0", 1000, missing="weights.bin")
    _publish(bucket, "frozen", "1.0.0", 1000, storage_class="GLACIER")


def _publish(
    bucket: MotoBucket, model: str, version: str, size: int, missing: str = "", storage_class: str = "STANDARD"
) -> str:
    """Give the sha256 of the manifest."""
    contents = {"config.json": b'{"architecture": "sample"}', "weights.bin": b"w" * size}
    files = tuple(ManifestFile(name, len(each), hashlib.sha256(each).hexdigest()) for name, each in contents.items())
    folder = f"{PREFIX}/{model}-{version}"
    for name, content in contents.items():
        if name != missing:
            bucket.put(f"{folder}/{name}", content, storage_class)
    bucket.put(f"{folder}/SHA256SUMS", sums(files))
    manifest = Manifest(model, version, datetime(2026, 1, 1, tzinfo=UTC), files)
    encoded = manifest.encode()
    bucket.put(f"{folder}/manifest.json", encoded)
    return hashlib.sha256(encoded).hexdigest()
