"""What a run's monitor remembers: bounded, whatever the run's length."""
