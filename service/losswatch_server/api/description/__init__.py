"""How the interface describes itself: schemas, examples, openapi.json."""
