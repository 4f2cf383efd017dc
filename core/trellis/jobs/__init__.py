"""Tasks on RQ: plugins declare them, the outbox keeps them, Redis only wakes the workers."""

from trellis.jobs.declaration import task
from trellis.jobs.limits import run_alone

__all__ = ["run_alone", "task"]
