"""What this plugin refuses."""

from __future__ import annotations

from trellis.errors import DomainError


class EndpointNotEnabled(DomainError):
    """Nothing is sent to an endpoint that is disabled."""

    code = "webhooks.not_enabled"
    status = 409
    title = "The endpoint is disabled"


class TooManySecrets(DomainError):
    """So many secrets sign for the endpoint already that no receiver should look at more."""

    code = "webhooks.too_many_secrets"
    status = 409
    title = "Too many secrets are on their way out; wait, or end them all with overlap_hours 0"


class TooManyEndpoints(DomainError):
    """There are as many endpoints as the settings allow."""

    code = "webhooks.too_many_endpoints"
    status = 409
    title = "There are too many endpoints"
