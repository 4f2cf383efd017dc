"""A phone's whole journey through a running Trellis, over HTTP alone: ``trellis demo``."""
