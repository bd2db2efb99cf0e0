"""What is checked before a training begins (`losswatch.preflight`): on copies, in seconds."""
