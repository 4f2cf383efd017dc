"""What this plugin refuses."""

from __future__ import annotations

from trellis.errors import DomainError


class UnsupportedContent(DomainError):
    """The bytes are not of a type that may be uploaded, whatever name and type came with them."""

    code = "media.unsupported_content"
    status = 415
    title = "The content of the file is of no supported type"


class AssetTooLarge(DomainError):
    """The file has more bytes than one upload may have; `max_bytes` tells how many."""

    code = "media.asset_too_large"
    status = 413
    title = "The file is too large"


class TooManyPixels(DomainError):
    """The picture has more pixels than may be decoded; `max_pixels` tells how many."""

    code = "media.too_many_pixels"
    status = 422
    title = "The picture has too many pixels"


class QuotaExceeded(DomainError):
    """The user's files together would be larger than the quota; deleting some makes room."""

    code = "media.quota_exceeded"
    status = 409
    title = "The quota for files is used up"


class NotReady(DomainError):
    """The renditions are not made yet (`state` is `processing`) or could not be (`failed`)."""

    code = "media.not_ready"
    status = 409
    title = "The asset is not ready"
