"""Inbox messages, pushes and mail."""
