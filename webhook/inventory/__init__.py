"""What the cluster has ready for models: read from the API server, and kept in memory."""
