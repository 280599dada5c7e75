"""The catalog: the versions and aliases in the buckets, resolving requests, and publishing."""
