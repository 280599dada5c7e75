"""Models: what a pod asks for (`request`), the exact version it gets (`artifact`), and the bucket (`source`)."""
