"""How many live runs a machine carries, and what more would take: ``python -m benchmarks.scale``."""
