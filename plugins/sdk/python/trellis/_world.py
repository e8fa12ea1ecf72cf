"""What the world of this plugin has: the interfaces that its manifest asks for.

A component is built with bindings for those alone, in a package `wit_world`. Without that package
this is no component but Python on somebody's machine, where a plugin's own logic is tested.
"""

import importlib
from typing import Any

try:
    importlib.import_module("wit_world")
    INSIDE = True
except ModuleNotFoundError:
    INSIDE = False


class _Outside:
    """Stands for an interface where there is no host."""

    def __init__(self, interface: str) -> None:
        self._interface = interface

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"`{self._interface}` is there only inside the host")


def imported(interface: str, need: str) -> Any:
    """The bindings of an interface, such as `trellis_storage_sql_0_1_0`.

    Raises ImportError where the manifest does not ask for it, with what to add: `need`.
    """
    if not INSIDE:
        return _Outside(interface)
    try:
        return importlib.import_module(f"wit_world.imports.{interface}")
    except ModuleNotFoundError:
        raise ImportError(f"this needs `{need}`: add it to plugin.toml") from None


def types(interface: str) -> Any:
    """The bindings of an interface that others take their types from, if the world has it."""
    if not INSIDE:
        return _Outside(interface)
    return importlib.import_module(f"wit_world.imports.{interface}")


def exported(interface: str) -> Any:
    """The types of an interface that the plugin exports, if it does."""
    if not INSIDE:
        return _Outside(interface)
    try:
        return importlib.import_module(f"wit_world.exports.{interface}")
    except ModuleNotFoundError:
        return _Outside(interface)


def exports(trigger: str) -> bool:
    """Whether the plugin exports a trigger, by the name of its class in the bindings."""
    if not INSIDE:
        return False
    return hasattr(importlib.import_module("wit_world.exports"), trigger)
