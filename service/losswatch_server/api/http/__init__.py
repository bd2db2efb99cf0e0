"""What every endpoint shares: bodies, problems, middleware, negotiation, metrics."""
