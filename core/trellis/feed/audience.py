"""Who may see which entries: the one place that decides it, for streams and for reads alike."""

from __future__ import annotations

from trellis.contracts import Principal
from trellis.events import user_audience


def audiences_of(principal: Principal) -> frozenset[str]:
    """The audiences whose entries a caller may see; an entry without one is seen by listeners only.

    An entry keeps the audience under which it was published: what passes to another person is seen
    by that one from then on, and what happened before stays with whom it happened to.
    """
    return frozenset({user_audience(principal.id)})
