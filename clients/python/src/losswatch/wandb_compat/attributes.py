"""What W&B's objects become: attributes that are also keys, and things that are taken and not kept."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterator, Mapping


class _AskedForAnything(type):
    """Of a class that has every attribute, such as ``AlertLevel.WARN``."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return unkept(name)


class Unkept(metaclass=_AskedForAnything):
    """Stands for what is not kept: it can be made of anything, called, entered, and asked for anything."""

    def __init__(self, *given: Any, **named: Any) -> None:
        pass

    def __call__(self, *given: Any, **named: Any) -> Any:
        """What a decorator is given comes back; of any other call nothing is kept."""
        return given[0] if len(given) == 1 and not named and callable(given[0]) else Unkept()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return unkept(name)

    def __enter__(self) -> Unkept:
        return self

    def __exit__(self, *given: Any) -> None:
        return None

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __getitem__(self, key: Any) -> Any:
        return Unkept()

    def __setitem__(self, key: Any, value: Any) -> None:
        return None


def unkept(name: str) -> Any:
    """What stands for something of this name: a class where it begins so, an exception where it ends so."""
    if name.endswith(("Error", "Exception")):
        return type(name, (Exception,), {})
    return Unkept if name[:1].isupper() else Unkept()


class Attributes:
    """``config`` and ``summary``: keys and attributes are the same. ``told`` gets what is set."""

    def __init__(self, told: Callable[[Dict[str, Any]], None], values: Any = None) -> None:
        object.__setattr__(self, "_values", dict(values or {}))
        object.__setattr__(self, "_told", told)

    def update(self, values: Any = None, allow_val_change: bool = True, **named: Any) -> None:
        """Sets several."""
        given = {**flat(values), **named}
        self._values.update(given)
        self._told(given)

    def setdefaults(self, values: Any) -> Dict[str, Any]:
        """Sets those that are not set yet."""
        self.update({name: value for name, value in flat(values).items() if name not in self._values})
        return self.as_dict()

    def as_dict(self) -> Dict[str, Any]:
        """All of them."""
        return dict(self._values)

    def get(self, name: str, default: Any = None) -> Any:
        """One of them."""
        return self._values.get(name, default)

    def keys(self) -> Any:
        """Their names."""
        return self._values.keys()

    def items(self) -> Any:
        """Their names and values."""
        return self._values.items()

    def values(self) -> Any:
        """Their values."""
        return self._values.values()

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.update({name: value})

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __getattr__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(f"there is no {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self.update({name: value})

    def __repr__(self) -> str:
        return repr(self._values)


def flat(given: Any) -> Dict[str, Any]:
    """A mapping, a namespace of options or anything else with names, as a dictionary; of anything else an empty one."""
    if given is None:
        return {}
    if isinstance(given, (Mapping, Attributes)):
        return {str(name): value for name, value in given.items()}
    try:
        return {str(name): value for name, value in vars(given).items() if not str(name).startswith("_")}
    except TypeError:
        return {}
