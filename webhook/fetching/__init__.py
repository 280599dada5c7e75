"""Downloading a model inside a pod: `fetch.sh`, and the init container that runs it."""
