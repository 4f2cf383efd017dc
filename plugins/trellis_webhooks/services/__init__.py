"""The verbs of this plugin; the only place that writes its tables."""

from __future__ import annotations

from trellis_webhooks.services.attempts import attempt
from trellis_webhooks.services.deliveries import (
    add_deliveries,
    forget_deliveries,
    get_delivery,
    list_deliveries,
    redeliver,
    send_test,
)
from trellis_webhooks.services.endpoints import (
    create_endpoint,
    delete_endpoint,
    get_endpoint,
    list_endpoints,
    unmatched,
    update_endpoint,
)
from trellis_webhooks.services.follow import follow
from trellis_webhooks.services.personal_data import erase_user, export_user
from trellis_webhooks.services.secrets import rotate_secret
from trellis_webhooks.services.turns import resume

__all__ = [
    "add_deliveries",
    "attempt",
    "create_endpoint",
    "delete_endpoint",
    "erase_user",
    "export_user",
    "follow",
    "forget_deliveries",
    "get_delivery",
    "get_endpoint",
    "list_deliveries",
    "list_endpoints",
    "redeliver",
    "resume",
    "rotate_secret",
    "send_test",
    "unmatched",
    "update_endpoint",
]
