"""Tasks on RQ: plugins declare them, the outbox keeps them, Redis only wakes the workers."""

from trellis.jobs.limits import run_alone
from trellis.task import task

__all__ = ["run_alone", "task"]
