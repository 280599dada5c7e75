"""Strategies of hypothesis for what reaches the program from outside, for property tests and scripts/fuzz."""
