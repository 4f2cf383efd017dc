"""Finding, checking and starting plugins: phases, each for all plugins before the next.

Faults are gathered over all plugins and raised once; then the application does not start.
"""
