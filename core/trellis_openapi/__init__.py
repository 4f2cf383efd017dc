"""``trellis openapi``: the document of exactly what is installed, and what it means to clients."""
