"""Evidence for and against each cause, by where it is read from."""
