"""Settings and secrets: none is told, development makes a key, production refuses unsafe ones."""

from __future__ import annotations

import json
import stat
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr, field_validator

from trellis.settings import (
    LoadedSettings,
    LocalOnly,
    PluginSettings,
    SettingsError,
    describe,
    development_secret,
    load_settings,
)

KEY = "k" * 32
SHARED = {
    "TRELLIS_PUBLIC_URL": "https://api.example.org",
    "TRELLIS_DATABASE_URL": "postgresql://db/trellis",
    "TRELLIS_REDIS_URL": "redis://cache",
    "TRELLIS_STORAGE_URL": "s3://files",
}
PRODUCTION = {"TRELLIS_ENVIRONMENT": "production", "TRELLIS_SECRET_KEYS": KEY, **SHARED}


class Client(BaseModel, extra="forbid"):
    id: str
    secret: SecretStr


class GateSettings(PluginSettings):
    clients: list[Client] = Field(default=[], description="Who may ask.")
    token: SecretStr | None = Field(default=None, description="Opens the gate.")
    relay: str = Field(default="local:", description="Where parcels are handed over.")
    carrier: Annotated[str, LocalOnly("parcels stay in the local mailbox")] = Field(
        default="local", description="Who carries."
    )

    @field_validator("token")
    @classmethod
    def _not_wrong(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and value.get_secret_value().startswith("wrong"):
            raise ValueError(f"{value.get_secret_value()} is no token")
        return value


Load = Callable[..., LoadedSettings]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(environ: Mapping[str, str] | None = None) -> LoadedSettings:
        return load_settings({"gate": GateSettings}, environ or {}, tmp_path)

    return load


def faults(load: Load, environ: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(environ)
    return caught.value.faults


class TestSecrets:
    @given(secret=st.text(st.characters(exclude_categories=["C", "Z"]), min_size=6, max_size=31))
    @settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_no_fault_tells_one(self, load: Load, secret: str) -> None:
        secret = f"S3{secret}"
        environ = {
            "TRELLIS_SECRET_KEYS": json.dumps([secret[:8]]),
            "TRELLIS_GATE__TOKEN": f"wrong{secret}",
            "TRELLIS_GATE__CLIENTS": json.dumps([{"id": 1, "secret": secret, "x": secret}]),
            "TRELLIS_DATABASE_URL": f"mysql://u:{secret}@db",
            "TRELLIS_METRICS_TOKE": secret,
        }
        with pytest.raises(SettingsError) as caught:
            load(environ)
        assert len(caught.value.faults) == 6
        assert secret not in str(caught.value) + repr(caught.value)
        assert caught.value.__cause__ is None

    def test_neither_repr_nor_describe_tells_one(self, load: Load) -> None:
        loaded = load(
            {
                "TRELLIS_SECRET_KEYS": KEY,
                "TRELLIS_METRICS_TOKEN": "hush-1",
                "TRELLIS_GATE__TOKEN": "hush-2",
                "TRELLIS_GATE__CLIENTS": '[{"id": "app", "secret": "hush-3"}]',
                "TRELLIS_GATE__RELAY": "smtp://u:hush-7@relay:25",
                "TRELLIS_DATABASE_URL": "postgresql://u:hush-4@db/x?sslpassword=hush-6&a=b",
                "TRELLIS_REDIS_URL": "redis://:a/b@hush-5@box/1",
                "TRELLIS_STORAGE_ACCESS_KEY": "app",
                "TRELLIS_STORAGE_SECRET_KEY": "hush-8",
            }
        )
        shown = repr(loaded) + repr(describe(loaded))
        assert "hush" not in shown
        assert KEY not in shown
        rows = {row.key: row for row in describe(loaded)}
        assert rows["database_url"].value == "postgresql://u:********@db/x?sslpassword=********&a=b"
        assert rows["redis_url"].value == "redis://:********@box/1"
        assert rows["gate.clients"].value == '[{"id": "app", "secret": "********"}]'

    def test_every_setting_says_what_it_is_for(self, load: Load) -> None:
        assert [row.key for row in describe(load()) if not row.description] == []

    def test_development_makes_one_key_and_keeps_it(self, load: Load, tmp_path: Path) -> None:
        first, second = load(), load()
        file = tmp_path / "var" / "secret_key"
        assert first.core.secret_keys == second.core.secret_keys
        assert first.core.secret_keys[0].get_secret_value() == file.read_text().strip()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert first.sources["secret_keys"] == f"made once, in {tmp_path}/var"

    def test_processes_that_start_together_share_one_key(self, tmp_path: Path) -> None:
        barrier = threading.Barrier(8)
        keys: list[SecretStr] = []

        def start() -> None:
            barrier.wait()
            keys.append(development_secret(tmp_path / "var"))

        threads = [threading.Thread(target=start) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(keys) == 8
        assert len({key.get_secret_value() for key in keys}) == 1
        assert [path.name for path in (tmp_path / "var").iterdir()] == ["secret_key"]

    def test_a_truncated_key_file_is_a_fault(self, load: Load, tmp_path: Path) -> None:
        (tmp_path / "var").mkdir()
        (tmp_path / "var" / "secret_key").write_text("")
        assert faults(load) == [f"secret_keys: {tmp_path}/var/secret_key holds no whole key."]


class TestProduction:
    def test_it_starts_with_a_key_and_no_local_default(self, load: Load, tmp_path: Path) -> None:
        loaded = load(PRODUCTION | {"TRELLIS_GATE__CARRIER": "post"})
        assert loaded.core.log_format == "json"
        assert not (tmp_path / "var").exists()

    @pytest.mark.parametrize("keys", [None, "", "short", f"{KEY},short", "[]"])
    def test_it_refuses_missing_empty_and_short_keys(
        self, load: Load, tmp_path: Path, keys: str | None
    ) -> None:
        development_secret(tmp_path / "var")  # one that an earlier start made is no excuse
        environ = PRODUCTION | {"TRELLIS_GATE__CARRIER": "post"}
        del environ["TRELLIS_SECRET_KEYS"]
        [fault] = faults(load, environ if keys is None else environ | {"TRELLIS_SECRET_KEYS": keys})
        assert fault.startswith("secret_keys")

    @pytest.mark.parametrize("environ", [{}, {"TRELLIS_GATE__CARRIER": "local"}])
    def test_it_refuses_what_is_for_one_machine_only(
        self, load: Load, environ: dict[str, str]
    ) -> None:
        [fault] = faults(load, PRODUCTION | environ)
        assert fault == (
            "gate.carrier: its default is for one machine only, parcels stay in the local mailbox; "
            "set it in a settings file or as TRELLIS_GATE__CARRIER."
        )

    @pytest.mark.parametrize("key", ["public_url", "database_url", "redis_url", "storage_url"])
    def test_it_refuses_what_the_core_takes_for_granted_on_a_laptop(
        self, load: Load, key: str
    ) -> None:
        environ = PRODUCTION | {"TRELLIS_GATE__CARRIER": "post"}
        del environ[f"TRELLIS_{key.upper()}"]
        [fault] = faults(load, environ)
        assert fault.startswith(f"{key}: its default is for one machine only, ")
        assert fault.endswith(f"; set it in a settings file or as TRELLIS_{key.upper()}.")

    def test_who_wants_local_files_in_production_writes_it_down(
        self, load: Load, tmp_path: Path
    ) -> None:
        local = {
            "TRELLIS_DATABASE_URL": f"sqlite:///{tmp_path}/var/trellis.db",
            "TRELLIS_STORAGE_URL": f"file://{tmp_path}/var/objects",
        }
        core = load(PRODUCTION | local | {"TRELLIS_GATE__CARRIER": "post"}).core
        assert {core.database_url, core.storage_url} == set(local.values())
