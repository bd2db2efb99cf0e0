"""What notifications promise, measured: time to the receiver, nothing lost in a crash, nobody delayed by others."""
