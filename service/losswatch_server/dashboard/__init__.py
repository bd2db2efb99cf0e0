"""The dashboard: pages from templates, and small scripts over the public API. It needs no network but the service."""
