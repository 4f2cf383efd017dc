"""The settings themselves: what the core reads, and the base class of what a plugin reads."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import flask
from pydantic import (
    AfterValidator,
    AnyUrl,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from trellis.settings.masking import without_secrets
from trellis_http.cors import check_origin
from trellis_outgoing.hosts import Hosts

Environment = Literal["development", "testing", "production"]

MIN_SECRET_BYTES = 32


@dataclass(frozen=True)
class LocalOnly:
    """Marks a field whose default suits one machine: production refuses to start while it stands.

    A default that follows from other settings may be written down, and then is what is wanted.
    Use as `Annotated[str, LocalOnly("mail stays in the local mailbox")]`.
    """

    reason: str


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return ((name, without_secrets(value)) for name, value in super().__repr_args__())


class PluginSettings(_Section):
    """Base class of a plugin's settings; each field has a description."""

    @classmethod
    def current(cls) -> Self:
        """The settings of the running app; raises LookupError when it has none of this class."""
        plugins = flask.current_app.extensions["trellis"].settings.plugins
        for settings in plugins.values():
            if type(settings) is cls:
                return settings
        raise LookupError(f"{cls.__name__} belongs to no plugin of the running app")


class PluginSelection(_Section):
    """Which of the installed plugins take part."""

    disabled: list[str] = Field(
        default=[], description="Installed plugins that are left out from the next start."
    )
    only: list[str] | None = Field(
        default=None, description="Safe mode: start these plugins and no other."
    )


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _web_address(value: str) -> str:
    url = AnyUrl(value)
    if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
        raise ValueError("must be an http or https address without query and fragment")
    return value.rstrip("/")


def _database_address(value: str) -> str:
    if not value.startswith(("sqlite:", "postgresql:", "postgresql+psycopg:")):
        raise ValueError("must begin with sqlite: or postgresql:")
    try:
        make_url(value)
    except (ArgumentError, ValueError):
        raise ValueError("is no address of a database") from None
    return value


def _redis_address(value: str) -> str:
    if not value.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("must begin with redis://, rediss:// or unix://")
    return value


def _storage_address(value: str) -> str:
    scheme, _, rest = value.partition("://")
    if scheme not in ("file", "s3") or (scheme == "s3" and not rest.partition("/")[0]):
        raise ValueError("must be file:// and a directory, or s3:// and a bucket")
    if "?" in rest or "@" in rest.partition("/")[0]:
        raise ValueError("takes no options and no credentials, which have settings of their own")
    return value


def _long_enough(key: SecretStr) -> SecretStr:
    if len(key.get_secret_value().encode()) < MIN_SECRET_BYTES:
        raise ValueError(f"each key needs at least {MIN_SECRET_BYTES} bytes")
    return key


def _host_or_network(value: str) -> str:
    Hosts.of([value])
    return value


def _header(header: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[A-Za-z0-9-]+: [!-~]([ -~]*[!-~])?", header.get_secret_value()):
        raise ValueError("has to be a name, a colon, a space and a value")
    return header


class Settings(_Section):
    """The core's settings; `a.b` is also the variable `TRELLIS_A__B` and the secret file `a__b`."""

    environment: Environment = Field(
        default="development",
        description="Which shipped defaults and rules hold; set by TRELLIS_ENVIRONMENT only.",
    )
    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address to listen on; 0.0.0.0 lets other machines in.",
    )
    port: int = Field(default=8000, ge=1, le=65535, description="Port to listen on.")
    public_url: Annotated[
        Annotated[str, AfterValidator(_web_address)] | None,
        LocalOnly("links and the issuer of tokens carry the address of this process"),
    ] = Field(
        default=None,
        description="Address under which clients reach the service: it makes issuer and links. "
        "Unset: http, the host and the port.",
    )
    data_dir: Path = Field(
        default=Path("var"),
        validate_default=True,
        description="Directory of all local state; made when missing.",
    )
    database_url: Annotated[
        str, AfterValidator(_database_address), LocalOnly("SQLite lies in the data directory")
    ] = Field(
        default_factory=lambda earlier: f"sqlite:///{earlier['data_dir']}/trellis.db",
        description="SQLAlchemy address of the database. Unset: SQLite in the data directory.",
    )
    database_pool_size: int = Field(
        default=10, ge=1, le=200, description="Connections to PostgreSQL that one process holds."
    )
    database_statement_seconds: float = Field(
        default=30, ge=1, description="PostgreSQL ends a statement that runs for longer."
    )
    redis_url: Annotated[
        Annotated[str, AfterValidator(_redis_address)] | None,
        LocalOnly("the embedded broker is the laptop's"),
    ] = Field(
        default=None,
        description="Redis or Valkey, by redis://, rediss:// or unix://. Unset: the embedded one.",
    )
    storage_url: Annotated[
        str, AfterValidator(_storage_address), LocalOnly("files lie in the data directory")
    ] = Field(
        default_factory=lambda earlier: f"file://{earlier['data_dir']}/objects",
        description="Object storage: file:// and a directory, or s3:// and a bucket, with a prefix "
        "if there is one. Unset: files in the data directory.",
    )
    storage_endpoint: Annotated[str, AfterValidator(_web_address)] | None = Field(
        default=None,
        description="Address of an S3-compatible server, which is then spoken to path-style. "
        "Unset: AWS.",
    )
    storage_region: str | None = Field(
        default=None, description="Region of S3. Unset: AWS_REGION, else us-east-1."
    )
    storage_access_key: str | None = Field(
        default=None,
        description="Access key of S3. Unset: AWS_* variables, or the role of the machine.",
    )
    storage_secret_key: SecretStr | None = Field(
        default=None,
        validate_default=True,
        description="The secret that belongs to the access key.",
    )
    secret_keys: list[Annotated[SecretStr, AfterValidator(_long_enough)]] = Field(
        default=[],
        description="Keys for secrets at rest, 32 bytes or more each: the first encrypts, all "
        "decrypt. Unset outside production: one is made and kept in the data directory.",
    )
    backup_key: Annotated[SecretStr, AfterValidator(_long_enough)] | None = Field(
        default=None,
        description="Key under which backup sets are sealed, 32 bytes or more. Unset: they are "
        "not sealed, and whoever can read them reads everything.",
    )
    plugins: PluginSelection = PluginSelection()
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = (
        Field(default="info", description="The least important message that is logged.")
    )
    log_format: Literal["json", "console"] = Field(
        default="json", description="One JSON object a line, or text for people."
    )
    metrics_token: SecretStr | None = Field(
        default=None,
        description="Bearer token that /metrics asks for. Unset: closed in production, else open.",
    )
    max_body_bytes: int = Field(
        default=1024 * 1024,
        ge=1024,
        description="Largest request body, where a route does not state its own limit.",
    )
    web_threads: int = Field(
        default=4, ge=1, le=256, description="Threads of one web process that answer requests."
    )
    cache_local_bytes: int = Field(
        default=32 * 1024 * 1024,
        ge=0,
        description="What a process that serves requests keeps of the cache for itself, beside "
        "Redis; 0 for nothing.",
    )
    feed_retention_days: int = Field(
        default=30,
        ge=1,
        description="Days that changes stay in the feed. A client whose cursor is older has to "
        "fetch everything anew.",
    )
    drain_seconds: float = Field(
        default=0,
        ge=0,
        le=300,
        description="How long a web process that was told to stop still takes requests, so that "
        "whoever sends them notices. In production 3.",
    )
    stop_seconds: int = Field(
        default=3,
        ge=1,
        le=300,
        description="How long requests under way may then still take, before they are cut off. In "
        "production 25.",
    )
    stream_max_connections: int = Field(
        default=1000, ge=1, description="Event streams that one process holds open at a time."
    )
    cors_origins: list[Annotated[str, AfterValidator(check_origin)]] = Field(
        default=[],
        description="Origins of web pages whose scripts may call the API from a browser, such as "
        "https://app.example.org.",
    )
    cdn_purge_url: Annotated[str, AfterValidator(_web_address)] | None = Field(
        default=None,
        description="Where a CDN in front is told which tags it has to forget. Unset: it may keep "
        "nothing that can change.",
    )
    cdn_purge_header: Annotated[SecretStr, AfterValidator(_header)] | None = Field(
        default=None,
        description="A header of those calls that lets them in, such as `Fastly-Key: …`.",
    )
    outgoing_allow: list[Annotated[str, AfterValidator(_host_or_network)]] = Field(
        default=[],
        description="Hosts, addresses and networks of your own that calls to addresses of users "
        "may reach, though they are private, and without TLS.",
    )

    @field_validator("storage_secret_key")
    @classmethod
    def _with_access_key(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if (value is None) != (info.data.get("storage_access_key") is None):
            raise ValueError("goes together with storage_access_key")
        return value

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path, info: ValidationInfo) -> Path:
        if value == Path():
            raise ValueError("must name a directory of Trellis's own")
        base: Path = (info.context or {}).get("cwd") or Path.cwd()
        return base / value.expanduser()

    @classmethod
    def current(cls) -> Self:
        """The core's settings of the running app."""
        settings: Self = flask.current_app.extensions["trellis"].settings.core
        return settings

    @property
    def base_url(self) -> str:
        """Address under which clients reach the service, without a slash at the end."""
        return self.public_url or self.local_url

    @property
    def local_url(self) -> str:
        """Address under which this machine itself reaches the service."""
        wildcards = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (compared, not bound)
        host = wildcards.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"
