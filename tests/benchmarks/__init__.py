"""Benchmarks: run by make targets, not by the suite."""
