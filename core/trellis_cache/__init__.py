"""What a cache with tags is made of: a first level, Redis behind it, and telling all processes.

Knows Redis and Flask-Caching, and nothing of Trellis: rules, metrics and the feed are the core's.
"""
