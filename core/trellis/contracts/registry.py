"""What the running application has for plugins: the providers of ports, and all permissions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, TypeVar, cast

from trellis.plugin import CORE_PERMISSIONS
from trellis.runtime import runtime

P = TypeVar("P")

# Asking for ``type[P]``, a port being a protocol, would make every caller's mypy complain that it
# cannot be instantiated.
Contract: TypeAlias = Callable[..., P]


def port(contract: Contract[P]) -> P:
    """The provider of a port. Raises LookupError when nobody provides it."""
    provider = port_or_none(contract)
    if provider is None:
        name = cast("type[P]", contract).__name__
        raise LookupError(f"no plugin provides {name}; declare it in `uses`")
    return provider


def port_or_none(contract: Contract[P]) -> P | None:
    """The provider of a port, or ``None``: for the ports in a plugin's ``wants``."""
    return cast("P | None", runtime().ports.get(cast("type[P]", contract)))


def every_permission() -> frozenset[str]:
    """The names of all permissions that the core and the running app's plugins declare."""
    loaded = runtime().plugins.values()
    declared = [*CORE_PERMISSIONS, *(each for one in loaded for each in one.plugin.permissions)]
    return frozenset(permission.name for permission in declared)
