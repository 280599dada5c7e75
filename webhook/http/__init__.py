"""HTTP within bounds: request bodies, rates, connections; logs, metrics and health."""
