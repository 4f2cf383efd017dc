"""``trellis openapi``: the document of exactly what is installed, and what it means to clients."""

from trellis.cli.openapi.commands import openapi

__all__ = ["openapi"]
