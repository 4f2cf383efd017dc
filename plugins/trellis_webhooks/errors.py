"""What this plugin refuses."""

from __future__ import annotations

from trellis.errors import DomainError


class EndpointNotEnabled(DomainError):
    """Nothing is sent to an endpoint that is disabled."""

    code = "webhooks.not_enabled"
    status = 409
    title = "The endpoint is disabled"


class TooManyEndpoints(DomainError):
    """There are as many endpoints as the settings allow."""

    code = "webhooks.too_many_endpoints"
    status = 409
    title = "There are too many endpoints"
