"""API keys: who may call the service, for which project, and what for."""

from losswatch_server.keys.key import Key, KeyLimits, Scope
from losswatch_server.keys.ring import KeyRing

__all__ = ["Key", "KeyLimits", "KeyRing", "Scope"]
