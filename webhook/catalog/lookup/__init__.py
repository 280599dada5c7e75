"""Resolving requests to artifacts from memory."""
