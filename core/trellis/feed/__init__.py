"""The feed: one ordered, durable log of changes for listeners, streams and delta sync.

Rows are inserted without a position; after the commit a sequencer gives committed rows ascending
positions, so a transaction that began earlier and commits later is never skipped. Readers and
cursors use positions only.
"""

from trellis.feed.reader import changes, entries_between, head, published

__all__ = ["changes", "entries_between", "head", "published"]
