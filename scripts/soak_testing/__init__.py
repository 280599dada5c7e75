"""The soak: what scripts/soak runs."""
