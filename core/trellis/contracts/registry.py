"""Finding the provider of a port in the running application."""

from __future__ import annotations

from typing import TypeVar, cast

from trellis.runtime import runtime

P = TypeVar("P")


def port(contract: type[P]) -> P:
    """The provider of a port. Raises LookupError when nobody provides it."""
    provider = port_or_none(contract)
    if provider is None:
        raise LookupError(f"no plugin provides {contract.__name__}; declare it in `uses`")
    return provider


def port_or_none(contract: type[P]) -> P | None:
    """The provider of a port, or ``None``: for the ports in a plugin's ``wants``."""
    return cast("P | None", runtime().ports.get(contract))
