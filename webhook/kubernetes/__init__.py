"""Kubernetes objects: the fields of pods and workloads, JSON Patch, quantities, and a client of the API server."""
