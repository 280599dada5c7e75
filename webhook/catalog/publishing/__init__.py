"""Versions and aliases, written to a bucket; and a version, downloaded from it."""
