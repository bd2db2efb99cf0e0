"""How notifications leave the service: an HTTP client that cannot be turned against it."""
