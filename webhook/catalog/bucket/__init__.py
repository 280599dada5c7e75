"""Reading buckets: objects, listings, manifests, and the status of a version."""
