"""How much each piece of evidence tells of each cause: fitted on many trainings, whole families left out in turn."""
