"""How well the monitor detects: a bug zoo of trained models, a scorer, and the table that the documentation quotes."""
