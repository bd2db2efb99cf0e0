"""Alembic migrations of the store: one file per step in versions/, run in the order of their numbers."""
