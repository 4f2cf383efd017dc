"""Calling addresses that users have given, without lending them our place in the network.

Whoever can make a server call an address of their choice can reach what only that server reaches:
the database beside it, or the cloud's metadata (OWASP API7:2023). So the address is checked after
its name was resolved, and the connection goes to the very address that was checked.
"""
