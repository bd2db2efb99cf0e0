"""A day of a team: runs of many kinds through the real service on a fast clock, to real receivers."""
