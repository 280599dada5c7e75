"""OCI images of models: layers of a version's files, written to a registry or to a folder."""
