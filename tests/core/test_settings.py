"""Settings from outside: files, variables, secret files go in; values or sentences come out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import flask
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr

from trellis.settings import (
    LoadedSettings,
    PluginSettings,
    Settings,
    SettingsError,
    describe,
    load_settings,
    read_plugin_selection,
)
from trellis.settings.masking import shown
from trellis.settings.sources import leaves

KEY = "k" * 32


class Limits(BaseModel):
    tries: int = Field(default=5, description="Wrong guesses before the lock.")


class Client(BaseModel, extra="forbid"):
    id: str
    secret: SecretStr


class GateSettings(PluginSettings):
    max_bytes: int = Field(default=10, ge=1, description="Largest parcel.")
    kinds: list[str] = Field(default=["a"], description="What is let in.")
    rates: dict[str, int] = Field(default={}, description="Price of each kind.")
    limits: Limits = Limits()
    clients: list[Client] = Field(default=[], description="Who may ask.")
    token: SecretStr | None = Field(default=None, description="Opens the gate.")


Load = Callable[..., LoadedSettings]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(environ: Mapping[str, str] | None = None, **options: Any) -> LoadedSettings:
        return load_settings({"gate": GateSettings}, environ or {}, tmp_path, **options)

    return load


def faults(load: Load, environ: Mapping[str, str] | None = None, **options: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(environ, **options)
    return caught.value.faults


def gate(loaded: LoadedSettings) -> GateSettings:
    settings = loaded.plugins["gate"]
    assert isinstance(settings, GateSettings)
    return settings


class TestDefaults:
    def test_one_machine_needs_no_setting(self, load: Load, tmp_path: Path) -> None:
        core = load().core
        assert core.environment == "development"
        assert core.base_url == "http://127.0.0.1:8000"
        assert core.data_dir == tmp_path / "var"
        assert core.database_url == f"sqlite:///{tmp_path}/var/trellis.db"
        assert core.storage_url == f"file://{tmp_path}/var/objects"
        assert core.redis_url is None

    @pytest.mark.parametrize(
        ("host", "address"),
        [
            ("0.0.0.0", "http://127.0.0.1:8000"),
            ("::", "http://[::1]:8000"),
            ("::1", "http://[::1]:8000"),
            ("box.lan", "http://box.lan:8000"),
        ],
    )
    def test_base_url_is_one_that_a_client_can_open(
        self, load: Load, host: str, address: str
    ) -> None:
        assert load({"TRELLIS_HOST": host}).core.base_url == address

    def test_public_url_makes_base_url(self, load: Load) -> None:
        loaded = load({"TRELLIS_PUBLIC_URL": "https://api.example.org/app/"})
        assert loaded.core.base_url == "https://api.example.org/app"

    @pytest.mark.parametrize(
        "setting",
        [
            {"TRELLIS_PUBLIC_URL": "api.example.org"},
            {"TRELLIS_PUBLIC_URL": "ftp://api.example.org"},
            {"TRELLIS_CDN_PURGE_URL": "cdn.example.org"},
            {"TRELLIS_CDN_PURGE_HEADER": "no-value"},
            {"TRELLIS_CDN_PURGE_HEADER": "Key: split\r\nOther: x"},
            {"TRELLIS_DATABASE_URL": "mysql://db"},
            {"TRELLIS_REDIS_URL": "localhost:6379"},
            {"TRELLIS_PORT": "65536"},
            {"TRELLIS_LOG_LEVEL": "loud"},
        ],
    )
    def test_a_value_that_cannot_work_is_refused(self, load: Load, setting: dict[str, str]) -> None:
        [fault] = faults(load, setting)
        [name] = setting
        assert f"(environment {name})" in fault


class TestSources:
    def test_each_source_overrides_the_one_before(self, load: Load, tmp_path: Path) -> None:
        secret_files = tmp_path / "secrets"
        secret_files.mkdir()
        sources: list[tuple[str, Callable[[dict[str, str]], object]]] = [
            ("shipped development.toml", lambda environ: None),
            (
                str(tmp_path / "trellis.toml"),
                lambda environ: (tmp_path / "trellis.toml").write_text('log_format = "json"\n'),
            ),
            (
                "environment TRELLIS_LOG_FORMAT",
                lambda environ: environ.update(TRELLIS_LOG_FORMAT="console"),
            ),
            (
                f"secret file in {secret_files} log_format",
                lambda environ: (
                    (secret_files / "log_format").write_text("json\n"),
                    environ.update(TRELLIS_SECRETS_DIR=str(secret_files)),
                ),
            ),
        ]
        environ: dict[str, str] = {}
        for number, (source, add) in enumerate(sources):
            add(environ)
            loaded = load(environ)
            assert loaded.sources["log_format"] == source
            assert loaded.core.log_format == ["console", "json"][number % 2]

    def test_trellis_config_names_another_file(self, load: Load, tmp_path: Path) -> None:
        (tmp_path / "trellis.toml").write_text("port = 1111\n")
        (tmp_path / "other.toml").write_text("[gate]\nmax_bytes = 7\n[gate.limits]\ntries = 2\n")
        loaded = load({"TRELLIS_CONFIG": "other.toml"})
        assert (loaded.core.port, gate(loaded).max_bytes, gate(loaded).limits.tries) == (8000, 7, 2)

    def test_double_underscore_reaches_into_sections(self, load: Load) -> None:
        loaded = load({"TRELLIS_GATE__LIMITS__TRIES": "3", "TRELLIS_PLUGINS__ONLY": "gate"})
        assert gate(loaded).limits.tries == 3
        assert loaded.core.plugins.only == ["gate"]
        assert loaded.sources["gate.limits.tries"] == "environment TRELLIS_GATE__LIMITS__TRIES"

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("a,b", ["a", "b"]),
            (" a , b ", ["a", "b"]),
            ('["a,b"]', ["a,b"]),
            ("", []),
            ("a", ["a"]),
        ],
    )
    def test_lists_are_json_or_comma_separated(
        self, load: Load, text: str, value: list[str]
    ) -> None:
        assert gate(load({"TRELLIS_GATE__KINDS": text})).kinds == value

    def test_tables_are_json(self, load: Load) -> None:
        assert gate(load({"TRELLIS_GATE__RATES": '{"a": 1}'})).rates == {"a": 1}

    def test_an_empty_variable_unsets_what_may_be_unset(self, load: Load, tmp_path: Path) -> None:
        (tmp_path / "trellis.toml").write_text('redis_url = "redis://box"\n')
        assert load({"TRELLIS_REDIS_URL": ""}).core.redis_url is None

    def test_a_secret_file_in_upper_case_loses_its_newline(
        self, load: Load, tmp_path: Path
    ) -> None:
        secret_files = tmp_path / "secrets"
        (secret_files / "..data").mkdir(parents=True)  # Kubernetes makes such directories
        (secret_files / "GATE__TOKEN").write_text(" open \r\n")
        token = gate(load({"TRELLIS_SECRETS_DIR": str(secret_files)})).token
        assert token is not None
        assert token.get_secret_value() == " open "

    @given(
        where=st.fixed_dictionaries(
            {},
            optional={
                name: st.dictionaries(
                    st.sampled_from(["port", "web_threads", "gate.max_bytes", "gate.limits.tries"]),
                    st.integers(1, 200),
                )
                for name in ("file", "environment", "secret")
            },
        )
    )
    @settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_the_last_source_wins_and_is_named(
        self, tmp_path_factory: pytest.TempPathFactory, where: dict[str, dict[str, int]]
    ) -> None:
        cwd = tmp_path_factory.mktemp("install")
        (cwd / "secrets").mkdir()
        environ = {"TRELLIS_SECRETS_DIR": "secrets"}
        expected: dict[str, tuple[str, int]] = {}
        lines = [f"{key} = {value}" for key, value in where.get("file", {}).items()]
        (cwd / "trellis.toml").write_text("\n".join(lines))
        expected |= {key: ("trellis.toml", value) for key, value in where.get("file", {}).items()}
        for key, value in where.get("environment", {}).items():
            environ[f"TRELLIS_{key.upper().replace('.', '__')}"] = str(value)
            expected[key] = ("environment", value)
        for key, value in where.get("secret", {}).items():
            (cwd / "secrets" / key.replace(".", "__")).write_text(f"{value}\n")
            expected[key] = ("secret file", value)
        rows = {
            row.key: row for row in describe(load_settings({"gate": GateSettings}, environ, cwd))
        }
        for key, (source, value) in expected.items():
            assert rows[key].value == str(value)
            assert source in rows[key].source
        untouched = {"port", "web_threads", "gate.max_bytes", "gate.limits.tries"} - set(expected)
        assert all(rows[key].source == "default" for key in untouched)


class TestUnknownKeys:
    @pytest.mark.parametrize(
        ("toml", "sentence"),
        [
            ("prot = 1", "prot in {file}: is not a setting; did you mean port?"),
            ("[gaet]\nx = 1", "gaet in {file}: is not a setting; did you mean gate?"),
            (
                "[gate]\nmax_byte = 1",
                "gate.max_byte in {file}: is not a setting; did you mean gate.max_bytes?",
            ),
            (
                "[gate.limits]\ntrise = 1",
                "gate.limits.trise in {file}: is not a setting; did you mean gate.limits.tries?",
            ),
            ("gate = 1", "gate in {file}: is a section, not a value."),
            (
                'environment = "production"',
                "environment in {file}: is set by TRELLIS_ENVIRONMENT only.",
            ),
            ("zzzzzzzz = 1", "zzzzzzzz in {file}: is not a setting."),
        ],
    )
    def test_in_a_file(self, load: Load, tmp_path: Path, toml: str, sentence: str) -> None:
        file = tmp_path / "trellis.toml"
        file.write_text(toml)
        assert faults(load) == [sentence.format(file=file)]

    @pytest.mark.parametrize(
        ("name", "nearest"),
        [
            ("TRELLIS_PROT", "TRELLIS_PORT"),
            ("TRELLIS_Port", "TRELLIS_PORT"),
            ("TRELLIS_GAET__MAX_BYTES", "TRELLIS_GATE__MAX_BYTES"),
            ("TRELLIS_GATE__LIMITS__TRIE", "TRELLIS_GATE__LIMITS__TRIES"),
        ],
    )
    def test_in_the_environment(self, load: Load, name: str, nearest: str) -> None:
        sentence = f"{name} in environment: is not a setting; did you mean {nearest}?"
        assert faults(load, {name: "1"}) == [sentence]

    def test_in_a_secret_file(self, load: Load, tmp_path: Path) -> None:
        (tmp_path / "secret_kyes").write_text(KEY)
        assert faults(load, {"TRELLIS_SECRETS_DIR": "."}) == [
            f"secret_kyes in secret file in {tmp_path}: is not a setting; did you mean secret_keys?"
        ]

    def test_in_an_entry_of_a_list(self, load: Load) -> None:
        client = json.dumps([{"id": "a", "secret": "s", "colour": "red"}])
        [fault] = faults(load, {"TRELLIS_GATE__CLIENTS": client})
        assert fault.startswith("gate.clients.0.colour (environment TRELLIS_GATE__CLIENTS): ")

    def test_variables_of_other_programs_are_none_of_ours(self, load: Load) -> None:
        load({"TRELLISES": "1", "PORT": "1", "TRELLIS_CONFIG": "", "TRELLIS_SECRETS_DIR": ""})

    def test_a_plugin_that_is_switched_off_keeps_its_section(
        self, load: Load, tmp_path: Path
    ) -> None:
        (tmp_path / "trellis.toml").write_text("[shelf]\nwidth = 1\n")
        (tmp_path / "shelf__height").write_text("1")
        environ = {"TRELLIS_SHELF__DEPTH": "1", "TRELLIS_CONFIG": "trellis.toml"}
        load(environ, ignored=["shelf"])
        assert len(faults(load, environ)) == 2


class TestFaults:
    def test_all_are_told_at_once(self, load: Load, tmp_path: Path) -> None:
        (tmp_path / "trellis.toml").write_text("prot = 1\nweb_threads = 0\n[gate]\nmax_bytes = 0\n")
        told = "\n".join(
            faults(load, {"TRELLIS_PORT": "x", "TRELLIS_SECRETS_DIR": "gone", "TRELLIS_X": "1"})
        )
        for part in ("prot in", "web_threads", "gate.max_bytes", "port (env", "gone", "TRELLIS_X"):
            assert part in told

    def test_broken_files_are_named(self, load: Load, tmp_path: Path) -> None:
        (tmp_path / "bad.toml").write_text("port = = 1")
        (tmp_path / "latin.toml").write_bytes(b'host = "\xe9"')
        for name, sentence in {
            "bad.toml": "is not TOML",
            "latin.toml": "is not TOML (not UTF-8 text)",
            "gone.toml": "cannot be read",
        }.items():
            [fault] = faults(load, {"TRELLIS_CONFIG": name})
            assert fault.startswith(f"{tmp_path / name}: {sentence}")

    def test_broken_json_is_named(self, load: Load) -> None:
        assert faults(load, {"TRELLIS_GATE__KINDS": '["a'}) == [
            "gate.kinds (environment TRELLIS_GATE__KINDS): is not the JSON that it begins like."
        ]

    def test_one_secret_in_two_files(self, load: Load, tmp_path: Path) -> None:
        (tmp_path / "PORT").write_text("1")
        (tmp_path / "port").write_text("2")
        assert faults(load, {"TRELLIS_SECRETS_DIR": "."}) == [
            "secret files PORT and port set the same key."
        ]

    def test_a_required_setting_says_how_to_set_it(self, tmp_path: Path) -> None:
        class Needy(PluginSettings):
            issuer: str = Field(description="Needed.")

        with pytest.raises(SettingsError) as caught:
            load_settings({"needy": Needy}, {}, tmp_path)
        assert caught.value.faults == [
            "needy.issuer: is required; set it in a settings file or as TRELLIS_NEEDY__ISSUER."
        ]

    def test_a_plugin_may_not_take_the_name_of_a_core_setting(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match=r"plugin port: has the name of a core setting"):
            load_settings({"port": GateSettings}, {}, tmp_path)

    def test_an_unknown_environment(self, load: Load) -> None:
        assert faults(load, {"TRELLIS_ENVIRONMENT": "prod"}) == [
            "TRELLIS_ENVIRONMENT: must be one of development, testing, production."
        ]

    def test_a_data_directory_without_a_name(self, load: Load) -> None:
        with pytest.raises(SettingsError) as told:
            load(environ={"TRELLIS_DATA_DIR": ""})
        assert "must name a directory" in told.value.faults[0]

    def test_a_data_directory_that_cannot_be_made(self, load: Load, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        [fault] = faults(load, {"TRELLIS_DATA_DIR": "file/var"})
        assert fault.startswith(f"data_dir: {tmp_path}/file/var cannot be used")


class TestPluginSelection:
    def test_is_read_before_any_plugin_is_known(self, tmp_path: Path) -> None:
        (tmp_path / "trellis.toml").write_text('[plugins]\ndisabled = ["a"]\n[gate]\nx = 1\n')
        selection = read_plugin_selection({"TRELLIS_PORT": "x"}, tmp_path)
        assert (selection.disabled, selection.only) == (["a"], None)

    def test_must_be_right_itself(self, tmp_path: Path) -> None:
        (tmp_path / "trellis.toml").write_text("[plugins]\ndisabled = 1\n")
        with pytest.raises(SettingsError, match=r"plugins\.disabled"):
            read_plugin_selection({}, tmp_path)


class TestCurrent:
    def test_settings_of_the_running_app(self, load: Load) -> None:
        app = flask.Flask(__name__)
        app.extensions["trellis"] = SimpleNamespace(settings=load({"TRELLIS_GATE__MAX_BYTES": "7"}))
        with app.app_context():
            assert GateSettings.current().max_bytes == 7
            with pytest.raises(LookupError, match="PluginSettings belongs to no plugin"):
                PluginSettings.current()

    def test_settings_do_not_change(self, load: Load) -> None:
        with pytest.raises(ValueError, match="frozen"):
            load().core.port = 1


def test_the_page_for_operators_has_every_core_setting() -> None:
    page = Path(__file__).parents[2] / "docs/operations/settings.md"
    rows = [
        f"| `{key}` | `TRELLIS_{key.upper().replace('.', '__')}` | "
        f"{f'`{shown(info.default)}`' if info.default_factory is None else 'derived'} | "
        f"{info.description} |"
        for key, info in leaves(Settings)
    ]
    assert [row for row in rows if row not in page.read_text().splitlines()] == []
