"""The ports through which plugins serve one another; no plugin imports another one.

A plugin names the ports that it needs in ``uses`` or ``wants`` and asks for the provider when it
needs it: ``port(Messenger).send(…)``.
"""

from trellis.contracts.identity import Identity, Principal, caller_tag
from trellis.contracts.local import Mailbox, PushSink
from trellis.contracts.messaging import Messenger
from trellis.contracts.registry import every_permission, port, port_or_none
from trellis.contracts.storage import BlobStore
from trellis.contracts.tracking import EventSink

__all__ = [
    "BlobStore",
    "EventSink",
    "Identity",
    "Mailbox",
    "Messenger",
    "Principal",
    "PushSink",
    "caller_tag",
    "every_permission",
    "port",
    "port_or_none",
]
