"""What a run of two million points costs those who read it, go on with it, and work beside it."""
