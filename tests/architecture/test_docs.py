"""The documentation names everything that there is, and nothing that is not there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import click
import pytest
from flask import Flask

from trellis import contracts
from trellis.api.openapi import Api
from trellis.api.problems import CORE_ERRORS
from trellis.api.requests import EXTENSION
from trellis.cli.main import cli
from trellis.plugin import Plugin
from trellis.runtime import Runtime
from trellis.settings import Settings
from trellis.settings.sources import leaves
from trellis.testing.borders import PUBLIC_MODULES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    [*DOCS.rglob("*.md"), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGES.md"))]
)
EXAMPLE = ROOT / "tests/example_plugin"
BUNDLED = ("analytics", "auth", "media", "notifications", "webhooks")

_CODE = re.compile(r"`([^`\n]+)`")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")


def named(*paths: Path) -> set[str]:
    """What stands in backticks on these pages."""
    return {name for path in paths for name in _CODE.findall(path.read_text())}


def missing(names: Iterable[str], *paths: Path) -> list[str]:
    return sorted(set(names) - named(*paths))


def reference(plugin: str) -> Path:
    return DOCS / "plugins/reference" / f"{plugin}.md"


@pytest.fixture
def runtime(app: Flask) -> Runtime:
    runtime: Runtime = app.extensions["trellis"]
    return runtime


@pytest.fixture
def api(app: Flask) -> Api:
    api: Api = app.extensions[EXTENSION]
    return api


# --- everything is named ------------------------------------------------------------------------


@pytest.mark.parametrize("plugin", BUNDLED)
def test_the_page_of_a_plugin_names_all_that_it_has(
    runtime: Runtime, api: Api, app: Flask, plugin: str
) -> None:
    loaded = runtime.plugins[plugin]
    settings = runtime.settings.plugins[plugin]
    ports = (*loaded.plugin.uses, *loaded.plugin.wants, *loaded.plugin.provides)
    names = {
        *(f"{plugin}.{key}" for key, _ in leaves(type(settings))),
        *(permission.name for permission in loaded.plugin.permissions),
        *(name for name in runtime.event_types.values() if name.startswith(f"{plugin}.")),
        *loaded.plugin.subscribes,
        *(code for code in api.errors if code.startswith(f"{plugin}.")),
        *(code for code in codes_in(ROOT / f"plugins/{loaded.package}/errors.py")),
        *(name for name in runtime.tasks if name.startswith(f"{plugin}.")),
        *(port.__name__ for port in ports),
        *(re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", call) for call in calls(app, plugin)),
    }
    assert len(names) > 10
    documented = {name.partition("?")[0] for name in named(reference(plugin))}
    assert sorted(names - documented) == []


def codes_in(path: Path) -> Iterator[str]:
    """Error codes as they stand in the source, also of errors that no route states."""
    if path.exists():
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Assign(targets=[ast.Name(id="code")], value=ast.Constant(value=str(code))):
                    yield code


def calls(app: Flask, plugin: str) -> Iterator[str]:
    for rule in app.url_map.iter_rules():
        blueprint = app.blueprints.get(rule.endpoint.rpartition(".")[0])
        if getattr(blueprint, "plugin", None) == plugin:
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                yield f"{method} {rule.rule}"


def test_the_page_of_settings_names_those_of_the_core() -> None:
    assert missing((key for key, _ in leaves(Settings)), DOCS / "operations/settings.md") == []


def test_the_page_of_errors_names_those_of_the_core() -> None:
    page = DOCS / "reference/errors.md"
    assert missing((error.code for error in CORE_ERRORS), page) == []
    rows = dict(
        re.findall(r"^\| `(core\.\w+)` \| (\d+|any other) \|", page.read_text(), re.MULTILINE)
    )
    for error in CORE_ERRORS:
        assert rows[error.code] in (str(error.status), "any other")


def test_the_operations_guide_names_the_tasks_and_metrics_of_the_core(runtime: Runtime) -> None:
    guide = DOCS / "operations/running.md"
    assert missing((name for name in runtime.tasks if name.startswith("core.")), guide) == []
    source = "".join(path.read_text() for path in (ROOT / "core").rglob("*.py"))
    metrics = re.findall(r'(?:Counter|Histogram|Gauge)\(\s*"(trellis_\w+)"', source)
    assert len(metrics) >= 7
    assert missing(metrics, guide) == []


def test_the_page_of_ports_names_every_port() -> None:
    ports = [
        name
        for name in contracts.__all__
        if Protocol in getattr(getattr(contracts, name), "__bases__", ())
    ]
    assert len(ports) >= 6
    assert missing(ports, DOCS / "reference/ports.md") == []


def test_every_attribute_of_the_contract_has_its_page() -> None:
    attributes = [name for name in Plugin.__annotations__ if not name.startswith("_")] + ["setup"]
    assert len(attributes) == 16
    for attribute in attributes:
        page = DOCS / f"plugins/{attribute.replace('_', '-')}.md"
        assert page.read_text().startswith(f"# `{attribute}`\n"), attribute


def test_the_public_core_is_listed() -> None:
    page = DOCS / "plugins/public-core.md"
    assert missing(PUBLIC_MODULES, page) == []
    listed = {name for name in named(page) if name.startswith("trellis.")} - {"trellis.testing"}
    assert listed == set(PUBLIC_MODULES)


def test_every_command_is_listed() -> None:
    assert missing(commands(), DOCS / "reference/commands.md") == []


def commands() -> set[str]:
    """The commands of the core, of the bundled plugins and of the packages beside them."""
    context = click.Context(cli)
    found = {f"trellis auth {name}" for name in _names(ROOT / "plugins/trellis_auth/cli.py")}
    for name in cli.list_commands(context):
        if name in ("auth", "guestbook"):
            continue
        command = cli.get_command(context, name)
        subcommands = command.commands if isinstance(command, click.Group) else {}
        found |= {f"trellis {name} {sub}" for sub in subcommands} or {f"trellis {name}"}
    assert len(found) > 15
    return found


def _names(path: Path) -> Iterator[str]:
    """A plugin's commands, which would need the application to be looked up."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
            if any(decorator.startswith("cli.command(") for decorator in decorators):
                yield node.name.replace("_", "-")


def test_every_target_of_make_is_explained() -> None:
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert len(targets) > 8
    assert missing((f"make {target}" for target in targets), ROOT / "CONTRIBUTING.md") == []


def test_every_page_is_reached_from_the_map() -> None:
    reached = {ROOT / "README.md"}
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        for target in local_links(page):
            if target.suffix == ".md" and target not in reached:
                reached.add(target)
                waiting.append(target)
    assert sorted(set(PAGES) - reached) == []


# --- nothing is named that is not there -----------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_names_of_plugins_things_exist(runtime: Runtime, page: Path) -> None:
    """`media.asset_ready/1`, `core.not_found` and the like stand somewhere in the source."""
    known = {
        f"{name}.{key}"
        for name, model in runtime.settings.plugins.items()
        for key, _ in leaves(type(model))
    }
    known |= {*runtime.event_types.values(), *runtime.listeners, *runtime.tasks}
    literal = literals()
    dotted = re.compile(rf"(?:core|{'|'.join(BUNDLED)})\.[a-z_]+(?:/\d+)?")
    for name in named(page):
        if dotted.fullmatch(name):
            assert name in known or name in literal, f"{name} is nowhere"


_literals: set[str] = set()


def literals() -> set[str]:
    """Every string of the source."""
    if not _literals:
        for root in ("core", "plugins"):
            for path in (ROOT / root).rglob("*.py"):
                for node in ast.walk(ast.parse(path.read_text())):
                    if isinstance(node, ast.Constant) and isinstance(node.value, str):
                        _literals.add(node.value)
    return _literals


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(page.read_text()):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        assert ROOT in target.parents, link
        if anchor:
            assert anchor in anchors(target), f"{link}: no such heading"


def local_links(page: Path) -> Iterator[Path]:
    for link in _LINK.findall(page.read_text()):
        path = link.partition("#")[0]
        if path and not link.startswith("https://"):
            yield (page.parent / path).resolve()


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def quoted() -> Iterator[tuple[str, str, str]]:
    """Page, file and text of what the pages quote from the example plugin."""
    for page in sorted((DOCS / "plugins").glob("*.md")):
        for language, block in _FENCE.findall(page.read_text()):
            path, _, text = block.partition("\n")
            if language == "python" and path.startswith("# "):
                yield page.name, path.removeprefix("# "), text


@pytest.mark.parametrize(("page", "path", "text"), list(quoted()))
def test_quoted_code_is_the_example_s_own(page: str, path: str, text: str) -> None:
    assert squeezed(text) in squeezed((EXAMPLE / path).read_text()), f"{page}: {path} has changed"


def test_code_is_quoted_at_all() -> None:
    assert len(list(quoted())) >= 12
    assert squeezed("def nothing_of_the_kind() -> None:") not in squeezed(
        "def something() -> None:"
    )


def squeezed(text: str) -> str:
    """Without indentation: a quotation may stand further to the left."""
    return "\n".join(line.strip() for line in text.strip().splitlines())


def test_no_page_tells_of_this_machine() -> None:
    for page in PAGES:
        told = re.findall(r"/(?:home|root|tmp|work|Users)/\S*", page.read_text())
        assert not told, f"{page.name}: {told[0]}"


# --- these rules can fail -------------------------------------------------------------------------


def test_what_a_page_leaves_out_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("It has `media.quota_bytes` and media.small_edge.\n## `Its` settings, two\n")
    assert missing(["media.quota_bytes", "media.small_edge"], page) == ["media.small_edge"]
    assert anchors(page) == {"its-settings-two"}
