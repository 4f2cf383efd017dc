"""Accounts, sessions, tokens and devices: who is calling."""
