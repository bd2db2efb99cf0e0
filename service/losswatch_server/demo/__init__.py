"""Real trainings with real faults, small enough to run anywhere in seconds."""
