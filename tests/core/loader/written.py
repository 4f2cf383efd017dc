"""Plugins that a test writes to disk as pip would lay them out, and the check of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

CLASS = """
from typing import Protocol
from trellis.contracts import EventSink, Identity
from trellis.plugin import Cron, Every, Permission, PersonalData, Plugin

class Ledger(Protocol):
    ...

class Faulty(Plugin):
    '''Written by a test.'''
    name = "NAME"
    core = ">=1.0,<2"
"""
TABLE = """
from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column
from trellis.db import Model

class Thing(Model):
    __tablename__ = "NAME_thing"
    id: Mapped[int] = mapped_column(primary_key=True)
"""
LISTENERS = """
def listen(envelope):
    ...
"""
TASKS = """
from trellis.jobs import task

@task()
def tidy():
    ...
"""
ROUTE = """
from trellis.api import Blueprint, Schema
blueprint = Blueprint("NAME", __name__)

@blueprint.route("/things")
@blueprint.access(public="a test")
def look():
    '''Look.'''
"""
SCHEMA = """
from trellis.api import Schema

class ThingSchema(Schema):
    ...
"""
ROUTES = """
import faulty_NAME.schemas
from trellis.api import Blueprint
blueprint = Blueprint("NAME", __name__)

@blueprint.route("/things")
@blueprint.access(public="a test")
@blueprint.response(200, ThingSchema)
def look():
    '''Look.'''

@blueprint.route("/others")
@blueprint.access(public="a test")
@blueprint.response(200, faulty_NAME.schemas.ThingSchema)
def look_there():
    '''Look there.'''
"""
BROKEN = "import no_such_module\n"
NO_MODULE = "ModuleNotFoundError: No module named 'no_such_module'"


class Written:
    """A plugin that is written to disk as pip would lay it out; NAME stands for its name."""

    def __init__(
        self, name: str, attributes: str = "", *, entry: str = "", package: str = "", **rooms: str
    ) -> None:
        self.name = name
        self.entry = entry or name
        self.package = package or f"faulty_{name}"
        self.rooms = {"__init__": "", "plugin": CLASS, **rooms}
        for line in attributes.splitlines():
            self.rooms["plugin"] += f"    {line}\n"

    def write(self, directory: Path) -> None:
        for path, text in self._files():
            (directory / path).parent.mkdir(exist_ok=True)
            (directory / path).write_text(text.replace("NAME", self.name))

    def _files(self) -> Iterator[tuple[str, str]]:
        for room, text in self.rooms.items():
            yield f"{self.package}/{room}.py", text
        metadata = f"{self.package}-1.2.dist-info"
        yield f"{metadata}/METADATA", f"Metadata-Version: 2.1\nName: {self.package}\nVersion: 1.2\n"
        entry_point = f"{self.entry} = {self.package}.plugin:Faulty\n"
        yield f"{metadata}/entry_points.txt", f"[trellis.plugins]\n{entry_point}"


# What others clash with; nothing is wrong with it.
SOUND = Written("aaa", 'mounts = ("/clash",)', models=TABLE, api=ROUTE, tasks=TASKS)

Rows = dict[str, list[list[str]]]


def check(
    directory: Path, *plugins: Written, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Install the plugins into a directory and have a process check them."""
    site = directory / "site"
    site.mkdir()
    for plugin in plugins:
        plugin.write(site)
    return subprocess.run(
        [sys.executable, "-m", "trellis", "plugins", "check"],
        cwd=directory,
        env=os.environ
        | {"PYTHONPATH": str(site), "TRELLIS_DATA_DIR": str(directory / "var")}
        | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def rows(text: str) -> Rows:
    """Version, phase and cause of each fault, by plugin."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("PLUGIN "))
    told: Rows = {}
    for line in lines[start + 1 :]:
        plugin, *rest = re.split(r"\s{2,}", line, maxsplit=3)
        told.setdefault(plugin, []).append(rest)
    return told
