"""AWS: IAM policies, and EKS Pod Identity associations."""
