"""EKS Pod Identity: which role the pods of a service account have."""

import os
from typing import Any

import msgspec

from webhook.errors import InjectorError, InvalidInput


class AssociationError(InjectorError):
    """EKS did not associate a role with a service account."""


class Association(msgspec.Struct, frozen=True):
    """A role, and the service account of a cluster that is to have it."""

    cluster: str
    namespace: str
    service_account: str
    role: str
    """Its ARN."""


def eks() -> Any:
    """A client with the region and credentials of AWS' own tools. Raises InvalidInput, AssociationError."""
    import boto3  # noqa: PLC0415 - half a second that other commands need not wait for
    from botocore import exceptions  # noqa: PLC0415

    try:
        # AWS' command line knows AWS_REGION, botocore does not.
        return boto3.session.Session(region_name=os.environ.get("AWS_REGION")).client("eks")
    except exceptions.NoRegionError as error:
        raise InvalidInput("set AWS_REGION to the region of the cluster") from error
    except exceptions.BotoCoreError as error:
        raise AssociationError(str(error)) from error


def associate(client: Any, association: Association) -> str:
    """Make an association; gives its ARN. One that is there already will do. Raises AssociationError."""
    from botocore import exceptions  # noqa: PLC0415

    try:
        try:
            made = client.create_pod_identity_association(**_account(association), roleArn=association.role)
        except client.exceptions.ResourceInUseException:
            made = _existing(client, association)
    except exceptions.ClientError as error:
        told = error.response.get("Error", {})
        message = f"{told.get('Code', 'unknown')}: {told.get('Message', '')} ({error.operation_name})"
        raise AssociationError(f"cluster {association.cluster}: {message}") from error
    except exceptions.BotoCoreError as error:
        raise AssociationError(f"cluster {association.cluster}: {error}") from error
    return str(made["association"]["associationArn"])


def _existing(client: Any, association: Association) -> Any:
    """The existing association, if it is the same. Raises AssociationError otherwise."""
    name = f"service account {association.namespace}/{association.service_account}"
    found = client.list_pod_identity_associations(**_account(association))["associations"]
    if not found:  # someone has removed it between the two calls
        raise AssociationError(f"EKS is changing the association of {name}: try again")
    identifier = found[0]["associationId"]
    there = client.describe_pod_identity_association(clusterName=association.cluster, associationId=identifier)
    role = there["association"]["roleArn"]
    if role != association.role:
        raise AssociationError(
            f"{name} has the role {role} already, and a service account has one: give that role the policy, or replace "
            f"it with aws eks update-pod-identity-association --cluster-name {association.cluster} --association-id "
            f"{identifier} --role-arn {association.role}"
        )
    return there


def _account(association: Association) -> dict[str, str]:
    return {
        "clusterName": association.cluster,
        "namespace": association.namespace,
        "serviceAccount": association.service_account,
    }
