"""Real parts for the tests: programs, S3 servers, a proxy that makes faults, and what a node does for a container."""
