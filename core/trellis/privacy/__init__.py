"""Leaving: erasing a person in every plugin, until each one has proved completion."""

from trellis.privacy.erasure import request_erasure

__all__ = ["request_erasure"]
