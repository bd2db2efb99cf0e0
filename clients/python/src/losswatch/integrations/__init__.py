"""Two lines for each framework. None is imported before it is asked for, and none is a dependency of the client."""
