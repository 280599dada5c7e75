"""The controller's requests to the API server: collections that are watched, the Lease, and what is changed."""
