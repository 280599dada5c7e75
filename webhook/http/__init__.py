"""HTTP with limits on bodies, rates and connections; logs, metrics and health."""
