"""Routes: a user's own pictures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, BinaryIO, cast
from uuid import UUID

from flask import Response
from werkzeug.datastructures import FileStorage

from trellis.api import Blueprint, blob_response, cached_response, current_principal
from trellis.contracts import Principal
from trellis.errors import NotFound
from trellis.paging import Page
from trellis_media import services
from trellis_media.errors import (
    AssetTooLarge,
    NotReady,
    QuotaExceeded,
    TooManyPixels,
    UnsupportedContent,
)
from trellis_media.models import Visibility
from trellis_media.schemas import (
    AssetSchema,
    ChangedAssetSchema,
    PlacementSchema,
    UploadSchema,
)
from trellis_media.settings import MediaSettings

# Boundaries and headers of the multipart body, beside the file itself.
_ENVELOPE_BYTES = 64 * 1024


def _tags(caller: Principal, **_: UUID) -> Iterable[str]:
    return [services.tag_of(caller.id)]


blueprint = Blueprint("media", __name__, description="Upload, transform and deliver files.")


@blueprint.route("/assets", methods=["POST"])
@blueprint.access(user=True)
@blueprint.body_limit(lambda: MediaSettings.current().max_upload_bytes + _ENVELOPE_BYTES)
@blueprint.errors(UnsupportedContent, AssetTooLarge, TooManyPixels, QuotaExceeded)
@blueprint.arguments(PlacementSchema, location="query", as_kwargs=True)
@blueprint.arguments(UploadSchema, location="files", as_kwargs=True)
@blueprint.response(201, AssetSchema)
def upload_asset(file: FileStorage, visibility: Visibility) -> Any:
    """Upload a picture.

    The answer comes when it is stored for good. Its renditions are made then; the stream and the
    inbox tell when it is ready.
    """
    stream = cast("BinaryIO", file.stream)
    asset = services.upload(current_principal(), stream, file.filename or "", visibility)
    return asset, {"Location": services.address_of(asset["id"])}


@blueprint.route("/assets")
@blueprint.access(user=True)
@cached_response(tags=_tags, seconds=300)
@blueprint.paginated(AssetSchema)
def list_assets(*, cursor: str | None, limit: int) -> Page[Any]:
    """List the caller's pictures, the newest first."""
    return services.list_assets(current_principal().id, cursor=cursor, limit=limit)


@blueprint.route("/assets/<uuid:asset_id>")
@blueprint.access(user=True)
@blueprint.errors(NotFound)
@cached_response(tags=_tags, seconds=300)
@blueprint.response(200, AssetSchema)
def get_asset(asset_id: UUID) -> Any:
    """Get one picture's state, facts and addresses."""
    return services.get_asset(current_principal().id, asset_id)


@blueprint.route("/assets/<uuid:asset_id>", methods=["PATCH"])
@blueprint.access(user=True)
@blueprint.errors(NotFound)
@blueprint.if_match(get_asset)
@blueprint.merge_patch(ChangedAssetSchema)
@blueprint.response(200, AssetSchema)
def update_asset(changes: dict[str, Any], asset_id: UUID) -> Any:
    """Let everybody see a picture, or its owner alone again.

    A phone or browser that has it may show it for five minutes more.
    """
    owner_id = current_principal().id
    if "visibility" in changes:
        services.show_to(owner_id, asset_id, changes["visibility"])
    return services.get_asset(owner_id, asset_id)


@blueprint.route("/assets/<uuid:asset_id>", methods=["DELETE"])
@blueprint.access(user=True)
@blueprint.errors(NotFound)
@blueprint.if_match(get_asset)
@blueprint.response(204)
def delete_asset(asset_id: UUID) -> None:
    """Delete a picture with its renditions."""
    services.delete_asset(current_principal().id, asset_id)


@blueprint.route("/assets/<uuid:asset_id>/content")
@blueprint.access(user=True)
@blueprint.errors(NotFound)
@blueprint.blob("image/*")
def get_content(asset_id: UUID) -> Response:
    """Download the original, byte for byte as it was uploaded."""
    return _response(services.original(current_principal().id, asset_id), inline=False)


@blueprint.route("/assets/<uuid:asset_id>/renditions/<name>")
@blueprint.access(user=True)
@blueprint.errors(NotFound, NotReady)
@blueprint.blob("image/webp")
def get_rendition(asset_id: UUID, name: str) -> Response:
    """Download a rendition, `small` or `large`."""
    return _response(services.rendition(current_principal().id, asset_id, name), inline=True)


@blueprint.route("/public/<uuid:asset_id>/<name>")
@blueprint.access(public="its owner lets everybody see it")
@blueprint.errors(NotFound, NotReady)
@blueprint.blob("image/*")
def get_public(asset_id: UUID, name: str) -> Response:
    """Download `original`, `small` or `large` of a picture that everybody may see."""
    return _response(
        services.public_blob(asset_id, name),
        inline=name != "original",
        cache_control="public, max-age=300",
        tags=[services.public_tag_of(asset_id)],
    )


def _response(blob: services.Blob, *, inline: bool, **caching: Any) -> Response:
    return blob_response(
        blob.read,
        size=blob.size,
        etag=blob.etag,
        content_type=blob.content_type,
        filename=blob.filename,
        inline=inline,
        last_modified=blob.last_modified,
        **caching,
    )
