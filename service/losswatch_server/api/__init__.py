"""The HTTP API: routers, request and answer schemas, problem details. No rule of the domain lives here."""

from losswatch_server.api.app import create_api
from losswatch_server.api.openapi import openapi_document

__all__ = ["create_api", "openapi_document"]
