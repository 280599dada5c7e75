"""Advice on how to deliver a model: from a situation to a recommendation among all ways. No I/O."""
