"""Tasks on RQ: plugins declare them, the outbox keeps them, Redis only wakes the workers."""

from trellis.jobs.declaration import task

__all__ = ["task"]
