"""`model-injector iam-policy --associate`: EKS Pod Identity associations."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from tests.commands.test_cli import run
from webhook.aws.pod_identity import Association, AssociationError, associate
from webhook.cli import main

ROLE = "arn:aws:iam::111122223333:role/models"
ARN = "arn:aws:eks:us-east-1:111122223333:podidentityassociation/my-cluster/a-1"
ASSOCIATION = Association("my-cluster", "apps", "my-inference-app", ROLE)
ACCOUNT = {"clusterName": "my-cluster", "namespace": "apps", "serviceAccount": "my-inference-app"}
OPTIONS = ("--cluster", "my-cluster", "--namespace", "apps", "--service-account", "my-inference-app")


@pytest.fixture
def eks() -> Iterator[Any]:
    client = boto3.client("eks", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")  # noqa: S106
    with closing(client):
        yield client


def stub_existing(stubber: Stubber, role: str) -> None:
    stubber.add_client_error("create_pod_identity_association", "ResourceInUseException", http_status_code=409)
    listed = {"associations": [{**ACCOUNT, "associationId": "a-1", "associationArn": ARN}]}
    stubber.add_response("list_pod_identity_associations", listed, ACCOUNT)
    described = {"association": {**ACCOUNT, "associationId": "a-1", "associationArn": ARN, "roleArn": role}}
    asked = {"clusterName": "my-cluster", "associationId": "a-1"}
    stubber.add_response("describe_pod_identity_association", described, asked)


def test_an_association_is_made_with_one_call(
    eks: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Stubber(eks) as stubber:
        made = {"association": {"associationArn": ARN, "associationId": "a-1"}}
        stubber.add_response("create_pod_identity_association", made, {**ACCOUNT, "roleArn": ROLE})
        monkeypatch.setattr("webhook.commands.iam_policy.eks", lambda: eks)
        assert main(["iam-policy", "--associate", *OPTIONS, "--role-arn", ROLE]) == 0
        stubber.assert_no_pending_responses()
    assert capsys.readouterr().out == f"{ARN}\n"


def test_the_same_association_again_is_no_error(eks: Any) -> None:
    with Stubber(eks) as stubber:
        stub_existing(stubber, ROLE)
        assert associate(eks, ASSOCIATION) == ARN
        stubber.assert_no_pending_responses()


def test_an_association_with_another_role_is_left_alone_and_says_what_to_do(
    eks: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Stubber(eks) as stubber:
        stub_existing(stubber, "arn:aws:iam::111122223333:role/other")
        monkeypatch.setattr("webhook.commands.iam_policy.eks", lambda: eks)
        assert main(["iam-policy", "--associate", *OPTIONS, "--role-arn", ROLE]) == 1
        stubber.assert_no_pending_responses()
    (line,) = capsys.readouterr().err.splitlines()
    assert "service account apps/my-inference-app has the role arn:aws:iam::111122223333:role/other already" in line
    assert f"--association-id a-1 --role-arn {ROLE}" in line


def test_what_eks_says_is_passed_on(eks: Any) -> None:
    with Stubber(eks) as stubber:
        stubber.add_client_error("create_pod_identity_association", "ResourceNotFoundException", "No cluster found")
        with pytest.raises(AssociationError, match="cluster my-cluster: ResourceNotFoundException: No cluster found"):
            associate(eks, ASSOCIATION)


def test_an_association_that_is_removed_meanwhile_may_be_tried_again(eks: Any) -> None:
    with Stubber(eks) as stubber:
        stubber.add_client_error("create_pod_identity_association", "ResourceInUseException", http_status_code=409)
        stubber.add_response("list_pod_identity_associations", {"associations": []}, ACCOUNT)
        with pytest.raises(AssociationError, match="try again"):
            associate(eks, ASSOCIATION)


def test_an_association_without_credentials_is_a_line_and_status_1(tmp_path: Path) -> None:
    nothing = {"AWS_CONFIG_FILE": "/nowhere", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere", "HOME": str(tmp_path)}
    arguments = ("iam-policy", "--associate", *OPTIONS, "--role-arn", ROLE)
    done = run(*arguments, **nothing, AWS_REGION="us-east-1", AWS_EC2_METADATA_DISABLED="true")
    assert done.returncode == 1
    assert done.stderr == "model-injector: cluster my-cluster: Unable to locate credentials\n"
    assert run(*arguments, **nothing).stderr == "model-injector: set AWS_REGION to the region of the cluster\n"
