"""Losswatch for coding agents, by the Model Context Protocol: the tools, over HTTP at ``/mcp`` and over stdio.

Every tool is a call of the HTTP API, so keys, projects, limits and errors are those of the API. The SDK (``mcp``) is an
extra: it is imported by the first call at ``/mcp``, or by ``losswatch-server mcp``, and nowhere else.
"""
