"""EKS Pod Identity: associating a role with a service account."""

import os
from typing import Any

import msgspec

from webhook.errors import InjectorError, InvalidInput


class AssociationError(InjectorError):
    """EKS did not associate a role with a service account."""


class Association(msgspec.Struct, frozen=True):
    """A role for the pods of a service account."""

    cluster: str
    namespace: str
    service_account: str
    role: str
    """The role's ARN."""


def eks() -> Any:
    """An EKS client with the region and credentials of the AWS CLI. Raises InvalidInput and AssociationError."""
    import boto3  # noqa: PLC0415 - takes half a second, and other commands do not need it
    from botocore import exceptions  # noqa: PLC0415

    try:
        # The AWS CLI reads AWS_REGION, botocore does not.
        return boto3.session.Session(region_name=os.environ.get("AWS_REGION")).client("eks")
    except exceptions.NoRegionError as error:
        raise InvalidInput("set AWS_REGION to the region of the cluster") from error
    except exceptions.BotoCoreError as error:
        raise AssociationError(str(error)) from error


def associate(client: Any, association: Association) -> str:
    """Create an association, unless the same one exists, and return its ARN. Raises AssociationError."""
    from botocore import exceptions  # noqa: PLC0415

    try:
        try:
            response = client.create_pod_identity_association(**_account(association), roleArn=association.role)
        except client.exceptions.ResourceInUseException:
            response = _existing(client, association)
    except exceptions.ClientError as error:
        details = error.response.get("Error", {})
        message = f"{details.get('Code', 'unknown')}: {details.get('Message', '')} ({error.operation_name})"
        raise AssociationError(f"cluster {association.cluster}: {message}") from error
    except exceptions.BotoCoreError as error:
        raise AssociationError(f"cluster {association.cluster}: {error}") from error
    return str(response["association"]["associationArn"])


def _existing(client: Any, association: Association) -> Any:
    """The existing association, if it is the same. Raises AssociationError otherwise."""
    name = f"service account {association.namespace}/{association.service_account}"
    associations = client.list_pod_identity_associations(**_account(association))["associations"]
    if not associations:  # it was removed between the two calls
        raise AssociationError(f"the association of {name} was removed in the meantime; try again")
    identifier = associations[0]["associationId"]
    existing = client.describe_pod_identity_association(clusterName=association.cluster, associationId=identifier)
    role = existing["association"]["roleArn"]
    if role != association.role:
        raise AssociationError(
            f"{name} has the role {role} already, and can have only one; attach the policy to that role, or replace it "
            f"with aws eks update-pod-identity-association --cluster-name {association.cluster} --association-id "
            f"{identifier} --role-arn {association.role}"
        )
    return existing


def _account(association: Association) -> dict[str, str]:
    return {
        "clusterName": association.cluster,
        "namespace": association.namespace,
        "serviceAccount": association.service_account,
    }
