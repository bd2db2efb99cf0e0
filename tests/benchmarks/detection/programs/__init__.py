"""Training programs of many families, in NumPy: what the bug zoo trains, with one machinery for faults and labels."""
