"""What an operator can set about accounts and sessions."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from trellis.settings import PluginSettings

LONGEST_PASSWORD = 1024
"""Characters; no setting allows more, and nothing longer is ever hashed."""


class AuthSettings(PluginSettings):
    """Lifetimes, limits, and what a password must be."""

    access_token_seconds: int = Field(
        default=900,
        ge=60,
        le=3600,
        description="How long an access token is valid; the app refreshes it in time.",
    )
    refresh_reuse_seconds: int = Field(
        default=10,
        ge=0,
        le=60,
        description="How long the refresh token before the present one is still answered, so that "
        "a lost answer signs nobody out. Used later, it ends the session.",
    )
    session_days: int = Field(
        default=365,
        ge=1,
        le=3650,
        description="After how many days a session ends, however often it was refreshed.",
    )
    password_min_length: int = Field(
        default=8, ge=8, le=64, description="Fewest characters of a new password."
    )
    password_max_length: int = Field(
        default=256, ge=64, le=LONGEST_PASSWORD, description="Most characters of a new password."
    )
    password_hashes_at_once: int = Field(
        default=2,
        ge=1,
        le=64,
        description="How many passwords one process hashes at a time; each takes 19 MiB and a "
        "core.",
    )
    password_wait_seconds: float = Field(
        default=2.0,
        gt=0,
        le=30,
        description="How long a request waits for its turn to hash before it is answered 503.",
    )
    sign_in_attempts: int = Field(
        default=10,
        ge=3,
        le=100,
        description="How many wrong passwords in a row an address has before it must wait.",
    )
    sign_in_wait_seconds: int = Field(
        default=900,
        ge=1,
        le=86_400,
        description="The longest wait between attempts; it begins at a second and doubles.",
    )
    code_seconds: int = Field(
        default=600, ge=60, le=600, description="How long a code from a mail is valid."
    )
    code_attempts: int = Field(
        default=5, ge=1, le=10, description="How many guesses there are for one code."
    )
    mails_per_hour: int = Field(
        default=5,
        ge=1,
        le=60,
        description="Most mails an hour that strangers can cause to one address; beyond that "
        "nothing is sent and the answers stay the same.",
    )
    unverified_days: int = Field(
        default=7,
        ge=1,
        le=365,
        description="After how many days an account whose address was never verified is deleted.",
    )

    @model_validator(mode="after")
    def _some_length_fits(self) -> Self:
        if self.password_min_length > self.password_max_length:
            raise ValueError("password_min_length exceeds password_max_length")
        return self
