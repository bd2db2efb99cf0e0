"""What a client can tell of model, data and optimiser without sending any of them: ``context.facts``."""
