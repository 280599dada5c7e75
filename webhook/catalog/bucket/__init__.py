"""What S3 holds: objects, listings, manifests, and the status of one version."""
