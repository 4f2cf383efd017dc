"""Backup sets: database, objects and configuration as one consistent whole, made while it runs.

A set can be restored to SQLite and to PostgreSQL, whichever of them it came from.
"""
