"""The download of a model inside a pod: the script `fetch.sh`, and `errors.toml`, its table of errors.

The script runs in the stock image of s5cmd. Whatever differs between pods reaches it as an argument or through the
environment, so its text is the same in every pod. docs/fetch.md describes its interface.
"""
