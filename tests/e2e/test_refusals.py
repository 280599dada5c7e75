"""What a user reads when a pod cannot get its model."""

import pytest

from tests.e2e import workloads
from tests.e2e.cluster import Cluster
from tests.e2e.workloads import asking, template

pytestmark = pytest.mark.usefixtures("injector")

DENIED = 'admission webhook "pods.model-injector.io" denied the request: '


def test_a_pod_with_an_unknown_version_is_refused_with_the_versions_that_there_are(
    cluster: Cluster, namespace: str
) -> None:
    printed = cluster.refusal(workloads.pod(namespace, annotations=asking(version="9.9.9")))

    assert DENIED in printed
    assert "my-model has no version 9.9.9" in printed
    assert "2.0.0" in printed
    assert not cluster.has("pod", "app", namespace)


def test_an_invalid_value_is_refused_by_annotation_value_and_what_is_allowed(cluster: Cluster, namespace: str) -> None:
    printed = cluster.refusal(workloads.pod(namespace, annotations=asking(verify="md5")))

    assert DENIED in printed
    assert "annotation model-injector.io/verify" in printed
    assert "md5" in printed
    assert "sha256" in printed


@pytest.mark.usefixtures("controllers")
def test_a_deployment_is_stored_with_a_warning_and_its_replica_set_has_the_refusal(
    cluster: Cluster, namespace: str
) -> None:
    printed = cluster.create(workloads.deployment(namespace, template(asking(version="9.9.9"))))
    assert "Warning: pods of this Deployment will be refused: " in printed

    def refused() -> list[str]:
        return [each for each in cluster.events(namespace) if each.startswith("FailedCreate: ")]

    cluster.until(refused, lambda: cluster.events(namespace))
    assert DENIED in refused()[0]
    assert "my-model has no version 9.9.9" in refused()[0]


@pytest.mark.usefixtures("controllers")
def test_a_job_has_the_refusal_in_its_events(cluster: Cluster, namespace: str) -> None:
    printed = cluster.create(workloads.job(namespace, template(asking(model="another-model"))))
    assert "Warning: pods of this Job will be refused: " in printed

    def refused() -> list[str]:
        return [each for each in cluster.events(namespace) if "FailedCreate" in each and DENIED in each]

    cluster.until(refused, lambda: cluster.events(namespace))
    assert "another-model" in refused()[0]


def test_a_misspelt_annotation_is_a_warning_with_the_name_that_was_meant(cluster: Cluster, namespace: str) -> None:
    printed = cluster.create(workloads.pod(namespace, annotations=asking(mount_pth="/models")))

    assert "Warning: unknown annotation model-injector.io/mount-pth" in printed
    assert "mount-path" in printed


def test_annotations_on_the_deployment_itself_are_a_warning(cluster: Cluster, namespace: str) -> None:
    deployment = workloads.deployment(namespace, template())
    deployment["metadata"]["annotations"] = asking()

    printed = cluster.create(deployment)

    assert "does nothing on a Deployment itself: write it to spec.template.metadata.annotations" in printed


def test_a_pod_that_pod_security_forbids_stays_forbidden(cluster: Cluster, namespace: str) -> None:
    printed = cluster.refusal(workloads.pod(namespace, annotations=asking(), hostNetwork=True))

    assert 'violates PodSecurity "restricted:latest"' in printed
    assert "fetch-my-model" not in printed
