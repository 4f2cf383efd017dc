"""The HTTP API: routes with access rules, problem documents, pages, and the OpenAPI document."""

from trellis.api.access import (
    Public,
    Requires,
    User,
    ViewAccess,
    access,
    current_principal,
    undeclared_views,
    view_access,
)
from trellis.api.blueprint import Blueprint
from trellis.api.conditional import blob_response
from trellis.api.init import init_api
from trellis.api.kept import cached_response
from trellis.api.openapi import ApiFault, export_openapi
from trellis_schemas.schema import Schema, Timestamp
from trellis_schemas.strict_json import utc_text

__all__ = [
    "ApiFault",
    "Blueprint",
    "Public",
    "Requires",
    "Schema",
    "Timestamp",
    "User",
    "ViewAccess",
    "access",
    "blob_response",
    "cached_response",
    "current_principal",
    "export_openapi",
    "init_api",
    "undeclared_views",
    "utc_text",
    "view_access",
]
