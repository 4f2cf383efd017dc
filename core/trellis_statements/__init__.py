"""SQLAlchemy's statements, compiled once and run by the driver from then on.

Knows SQLAlchemy and two drivers, and nothing of Trellis: units of work and the pool are the core's.
"""
