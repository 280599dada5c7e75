"""The node cache: an inline CSI driver that has each version once on a node, for all pods that mount it."""
