"""The settings that `[needs.config]` of plugin.toml names: of its `[config]`, or the operator's.

They are there while the plugin runs, not yet when it is built: read them within a function.
"""

from trellis._errors import Error, Raising
from trellis._world import imported

__all__ = ["ConfigError", "get", "items", "require"]

_wit = imported("wasi_config_store_0_2_0_rc_1", "[needs.config] with `keys`")


class ConfigError(Error):
    """A setting cannot be read, or is missing."""


_RAISING = Raising(ConfigError, {})


def get(key: str, default: str = "") -> str:
    """The value of a key, or `default` where there is none."""
    with _RAISING:
        value: str | None = _wit.get(key)
    return default if value is None else value


def require(key: str) -> str:
    """The value of a key. Raises ConfigError where there is none, or an empty one."""
    value = get(key)
    if not value:
        raise ConfigError(f"the setting `{key}` is missing")
    return value


def items(key: str) -> list[str]:
    """A list that is written with commas; empty without a value."""
    return [item.strip() for item in get(key).split(",") if item.strip()]
