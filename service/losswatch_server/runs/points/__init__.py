"""What becomes of the points of a request: accepted, merged, late, or the begin of an attempt."""
