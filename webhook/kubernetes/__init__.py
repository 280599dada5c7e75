"""Kubernetes' own objects: the fields of pods and workloads that are read, JSON Patch, quantities, a client of the API server."""
