"""Benchmarks: what scripts/bench measures."""
