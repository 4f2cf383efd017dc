"""Server-Sent Events from the feed, in a process type of its own.

Held connections never take a thread of the web processes: one event loop holds them all.
"""
