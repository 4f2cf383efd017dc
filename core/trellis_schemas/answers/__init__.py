"""Answers as JSON: of what a view returned to what is sent."""

from trellis_schemas.answers.encoder import Encoder
from trellis_schemas.answers.obstacles import by_marshmallow, obstacle
from trellis_schemas.answers.structs import Choice, children

__all__ = ["Choice", "Encoder", "by_marshmallow", "children", "obstacle"]
