"""Puts the sources together, validates, applies production's rules, reports all faults at once."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from trellis.settings.model import (
    MIN_SECRET_BYTES,
    LocalOnly,
    PluginSelection,
    PluginSettings,
    Settings,
)
from trellis.settings.secret_key import development_secret
from trellis.settings.sources import RawValue, Sources, leaves, variable

M = TypeVar("M", bound=BaseModel)


class SettingsError(Exception):
    """Everything that is wrong with the settings, one sentence a fault, without any secret."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


@dataclass(frozen=True)
class LoadedSettings:
    """Settings in force. `sources` names for each dotted key where its value came from."""

    core: Settings
    plugins: Mapping[str, PluginSettings]
    sources: Mapping[str, str]


def load_settings(
    plugin_models: Mapping[str, type[PluginSettings]],
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    *,
    ignored: Collection[str] = (),
) -> LoadedSettings:
    """Settings of the core and of the plugins that take part.

    `ignored` names installed plugins that do not take part: their sections may stand, unread.
    `environ` and `cwd` default to the process's own. Raises SettingsError with every fault.
    """
    environ = os.environ if environ is None else environ
    cwd = Path.cwd() if cwd is None else cwd
    clashes = sorted(set(plugin_models) & set(Settings.model_fields))
    models = {name: model for name, model in plugin_models.items() if name not in clashes}
    sources = _read(models, environ, cwd, ignored)
    sources.faults += [f"plugin {name}: has the name of a core setting." for name in clashes]

    core = _validate(Settings, "", sources, cwd)
    plugins = {
        name: settings
        for name, model in models.items()
        if (settings := _validate(model, name, sources, cwd))
    }
    if sources.values["environment"].value == "production":
        sources.faults += _production_faults(core, plugins)
    elif core and not core.secret_keys and not sources.faults:
        core = _with_development_secret(core, sources)
    if sources.faults or core is None:
        raise SettingsError(sources.faults)
    default = RawValue(None, "default")
    origins = {key: sources.values.get(key, default).source for key in sources.fields}
    return LoadedSettings(core, plugins, origins)


def read_plugin_selection(
    environ: Mapping[str, str] | None = None, cwd: Path | None = None
) -> PluginSelection:
    """The `plugins` section alone, which the loader must know before it has any plugin's model.

    Faults elsewhere are left to `load_settings`. Raises SettingsError for a fault in this section.
    """
    environ = os.environ if environ is None else environ
    cwd = Path.cwd() if cwd is None else cwd
    sources = _read({}, environ, cwd, ())
    sources.faults.clear()
    selection = _validate(PluginSelection, "plugins", sources, cwd)
    if selection is None:
        raise SettingsError(sources.faults)
    return selection


def _read(
    models: Mapping[str, type[PluginSettings]],
    environ: Mapping[str, str],
    cwd: Path,
    ignored: Collection[str],
) -> Sources:
    fields = dict(leaves(Settings))
    for name, model in models.items():
        fields |= dict(leaves(model, f"{name}."))
    sections = set(models)
    for key in fields:
        *parents, _ = key.split(".")
        sections |= {".".join(parents[: depth + 1]) for depth in range(len(parents))}
    sources = Sources(fields, sections, ignored)
    environment = sources.read_environment_name(environ)
    sources.read_shipped(environment)
    if environ.get("TRELLIS_CONFIG"):
        sources.read_toml(cwd / environ["TRELLIS_CONFIG"])
    elif (cwd / "trellis.toml").exists():
        sources.read_toml(cwd / "trellis.toml")
    sources.read_environment(environ)
    if environ.get("TRELLIS_SECRETS_DIR"):
        sources.read_secret_files(cwd / environ["TRELLIS_SECRETS_DIR"])
    return sources


def _tree(sources: Sources, model: type[BaseModel], section: str) -> dict[str, Any]:
    """The raw values of one model, nested as the model is."""
    prefix = f"{section}." if section else ""
    tree: dict[str, Any] = {}
    for key, _ in leaves(model):
        if raw := sources.values.get(prefix + key):
            *parents, name = key.split(".")
            place = tree
            for parent in parents:
                place = place.setdefault(parent, {})
            place[name] = raw.value
    return tree


def _validate(model: type[M], section: str, sources: Sources, cwd: Path) -> M | None:
    try:
        return model.model_validate(_tree(sources, model, section), context={"cwd": cwd})
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        for fault in found:
            if fault["type"] != "default_factory_not_called":  # follows from a fault found before
                location = [section, *map(str, fault["loc"])] if section else map(str, fault["loc"])
                key = ".".join(location) or "settings"
                sources.faults.append(_sentence(key, fault["type"], fault["msg"], sources))
        return None


def _sentence(key: str, kind: str, message: str, sources: Sources) -> str:
    if kind == "missing" and key in sources.fields:
        return f"{key}: is required; set it in a settings file or as {variable(key)}."
    message = message.removeprefix("Value error, ").rstrip(".")
    for secret in sorted(sources.secrets(), key=len, reverse=True):
        message = message.replace(secret, "***")
    named = [leaf for leaf in sources.values if key == leaf or key.startswith(f"{leaf}.")]
    where = f" ({sources.values[named[0]].source})" if named else ""
    return f"{key}{where}: {message[:1].lower()}{message[1:]}."


def _with_development_secret(core: Settings, sources: Sources) -> Settings:
    try:
        key = development_secret(core.data_dir)
    except OSError as error:
        sources.faults.append(f"data_dir: {core.data_dir} cannot be used ({error.strerror}).")
        return core
    if len(key.get_secret_value()) < MIN_SECRET_BYTES:
        sources.faults.append(f"secret_keys: {core.data_dir}/secret_key holds no whole key.")
    sources.values["secret_keys"] = RawValue(None, f"made once, in {core.data_dir}")
    return core.model_copy(update={"secret_keys": [key]})


def _production_faults(
    core: Settings | None, plugins: Mapping[str, PluginSettings]
) -> Iterator[str]:
    if core is not None and not core.secret_keys:
        yield "secret_keys: production needs one; set a secret file or TRELLIS_SECRET_KEYS."
    sections: dict[str, BaseModel] = {} if core is None else {"": core}
    sections |= {f"{name}.": settings for name, settings in plugins.items()}
    for prefix, settings in sections.items():
        for key, mark in _local_only(settings, prefix):
            yield (
                f"{key}: its default is for one machine only, {mark.reason}; "
                f"set it in a settings file or as {variable(key)}."
            )


def _local_only(settings: BaseModel, prefix: str) -> Iterator[tuple[str, LocalOnly]]:
    for name, info in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            yield from _local_only(value, f"{prefix}{name}.")
        for mark in info.metadata:
            unset = name not in settings.model_fields_set or value == info.default
            if isinstance(mark, LocalOnly) and unset:
                yield prefix + name, mark
