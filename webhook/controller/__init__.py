"""The controller: it makes published versions ready in the cluster, and lets workloads follow them."""
