"""What follows the clock: rhythm and speed of a run's requests, and when it has gone silent."""
