"""Reads raw values from TOML files, the environment and secret files; unknown keys are faults.

A value is filed under its dotted key (`media.max_upload_bytes`); later sources win.
"""

from __future__ import annotations

import difflib
import json
import tomllib
import types
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Union, cast, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic.fields import FieldInfo

from trellis.settings.model import Environment

PREFIX = "TRELLIS_"
INFRASTRUCTURE = frozenset({"TRELLIS_CONFIG", "TRELLIS_ENVIRONMENT", "TRELLIS_SECRETS_DIR"})


@dataclass(frozen=True)
class RawValue:
    """What a source gave for one key; `value` may be a secret."""

    value: Any
    source: str


def variable(key: str) -> str:
    """The environment variable of a dotted key."""
    return PREFIX + key.upper().replace(".", "__")


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Each field with its dotted key; a field that is itself a model is a section of fields."""
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from leaves(info.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name, info


@dataclass
class Sources:
    """Gathers raw values for the known `fields`, and faults; `ignored` sections are passed over."""

    fields: Mapping[str, FieldInfo]
    sections: Collection[str]
    ignored: Collection[str]
    values: dict[str, RawValue] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def read_environment_name(self, environ: Mapping[str, str]) -> Environment:
        """Which environment this is, development unless said; it decides what is read next."""
        given = environ.get("TRELLIS_ENVIRONMENT")
        known = get_args(Environment)
        if given and given not in known:
            self.faults.append(f"TRELLIS_ENVIRONMENT: must be one of {', '.join(known)}.")
        name = cast("Environment", given if given in known else "development")
        source = "environment TRELLIS_ENVIRONMENT" if given else "default"
        self.values["environment"] = RawValue(name, source)
        return name

    def read_shipped(self, environment: Environment) -> None:
        """The defaults that come with Trellis for this environment."""
        name = f"{environment}.toml"
        text = resources.files("trellis_config").joinpath(name).read_text(encoding="utf-8")
        self._take_table(tomllib.loads(text), f"shipped {name}")

    def read_toml(self, path: Path) -> None:
        """A settings file of this installation."""
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            self.faults.append(f"{path}: cannot be read ({error.strerror}).")
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            where = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "not UTF-8 text"
            self.faults.append(f"{path}: is not TOML ({where}).")
        else:
            self._take_table(table, str(path))

    def read_environment(self, environ: Mapping[str, str]) -> None:
        """Variables that begin with TRELLIS_."""
        names = {variable(key): key for key in self.fields}
        for name, text in sorted(environ.items()):
            if name.startswith(PREFIX) and name not in INFRASTRUCTURE:
                self._take_text(names, name, name.removeprefix(PREFIX), text, "environment")

    def read_secret_files(self, directory: Path) -> None:
        """One file a setting, named as its variable without the prefix, in lower or upper case."""
        try:
            paths = sorted(path for path in directory.iterdir() if not path.name.startswith("."))
        except OSError as error:
            self.faults.append(
                f"TRELLIS_SECRETS_DIR: {directory} cannot be read ({error.strerror})."
            )
            return
        lower = {variable(key).removeprefix(PREFIX).lower(): key for key in self.fields}
        names = lower | {name.upper(): key for name, key in lower.items()}
        taken: dict[str, Path] = {}
        for path in paths:
            if not path.is_file():
                continue
            twin = taken.setdefault(path.name.lower(), path)
            if twin is not path:
                self.faults.append(f"secret files {twin.name} and {path.name} set the same key.")
                continue
            try:
                text = path.read_text(encoding="utf-8")
            except OSError as error:
                self.faults.append(f"secret file {path}: cannot be read ({error.strerror}).")
            except UnicodeDecodeError:
                self.faults.append(f"secret file {path}: is not UTF-8 text.")
            else:
                text = text.removesuffix("\n").removesuffix("\r")
                self._take_text(names, path.name, path.name, text, f"secret file in {directory}")

    def secrets(self) -> Iterator[str]:
        """Every text that was given for a field that is or holds a secret."""
        for key, raw in self.values.items():
            if _holds_secret(self.fields[key].annotation):
                yield from _texts(raw.value)

    def _take_table(self, table: Mapping[str, Any], source: str, prefix: str = "") -> None:
        for name, value in table.items():
            key = prefix + name
            if key == "environment":
                self.faults.append(f"environment in {source}: is set by TRELLIS_ENVIRONMENT only.")
            elif key in self.fields:
                self.values[key] = RawValue(value, source)
            elif key in self.ignored:
                continue
            elif key in self.sections and isinstance(value, dict):
                self._take_table(value, source, f"{key}.")
            elif key in self.sections:
                self.faults.append(f"{key} in {source}: is a section, not a value.")
            else:
                self._unknown(key, source, [*self.fields, *self.sections])

    def _take_text(
        self, names: Mapping[str, str], name: str, bare: str, text: str, source: str
    ) -> None:
        key = names.get(name)
        if key is None:
            if bare.lower().partition("__")[0] not in self.ignored:
                self._unknown(name, source, names)
            return
        if key == "environment":
            self.faults.append(f"environment in {source}: is set by TRELLIS_ENVIRONMENT only.")
            return
        try:
            value = parse_text(text, self.fields[key].annotation)
            self.values[key] = RawValue(value, f"{source} {name}")
        except ValueError:
            self.faults.append(f"{key} ({source} {name}): is not the JSON that it begins like.")

    def _unknown(self, name: str, source: str, known: Iterable[str]) -> None:
        nearest = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {nearest[0]}?" if nearest else "."
        self.faults.append(f"{name} in {source}: is not a setting{hint}")


def parse_text(text: str, annotation: Any) -> Any:
    """What a text means for a field of this type: JSON or comma-separated for lists, else the text.

    An empty text is None where the field may be None and the empty list for a list.
    Raises ValueError for broken JSON.
    """
    kinds, optional = _alternatives(annotation)
    if optional and text == "":
        return None
    if kinds & {list, tuple, set, frozenset}:
        if text.lstrip().startswith("["):
            return json.loads(text)
        return [part.strip() for part in text.split(",") if part.strip()]
    if (dict in kinds or BaseModel in kinds) and text.lstrip().startswith("{"):
        return json.loads(text)
    return text


def _alternatives(annotation: Any) -> tuple[set[Any], bool]:
    """The bare types that a field accepts (a model as BaseModel), and whether it accepts None."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _alternatives(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        parts = [_alternatives(part) for part in get_args(annotation)]
        return set().union(*(kinds for kinds, _ in parts)), any(none for _, none in parts)
    bare = origin or annotation
    if isinstance(bare, type) and issubclass(bare, BaseModel):
        bare = BaseModel
    return {bare}, bare is types.NoneType


def _holds_secret(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return any(_holds_secret(info.annotation) for info in annotation.model_fields.values())
    return annotation in (SecretStr, SecretBytes) or any(map(_holds_secret, get_args(annotation)))


def _texts(value: Any) -> Iterator[str]:
    """The texts in a value; a very short one protects nothing and may be a word of any message."""
    if isinstance(value, str) and len(value) >= 6:
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)
