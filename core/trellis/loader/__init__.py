"""Finding, checking and starting plugins: phases, each for all plugins before the next.

Faults are gathered over all plugins and raised once; then the application does not start.
"""

from trellis.loader.faults import Fault, LoadError
from trellis.loader.phases import load_plugins

__all__ = ["Fault", "LoadError", "load_plugins"]
