"""The HTTP API: routers, request and answer schemas, problem details. No rule of the domain lives here."""

from losswatch_server.api.app import create_api

__all__ = ["create_api"]
