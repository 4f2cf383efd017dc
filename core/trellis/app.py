"""Assembly: `create_app` is the recipe of the whole application, one named step a line."""

from __future__ import annotations

from flask import Flask

import trellis.api.tasks
import trellis.db.installation
import trellis.feed.tasks
import trellis.outbox.tasks
import trellis.privacy.tasks
from trellis.api.front import Front
from trellis.cache import init_cache
from trellis.contracts import BlobStore, Mailbox, PushSink
from trellis.db.engine import init_engine
from trellis.feed.stale import follow_stale
from trellis.jobs.announcer import Announcer
from trellis.jobs.broker import quick_client
from trellis.loader.phases import load_plugins, select_plugins
from trellis.loader.tasks import register_module, register_schedules
from trellis.local.broker import Broker
from trellis.local.mailbox import Mailbox as LocalMailbox
from trellis.local.pages import local_pages
from trellis.local.push_sink import PushSink as LocalPushSink
from trellis.observe import init_observe
from trellis.plugin import Every
from trellis.runtime import Runtime
from trellis.settings import LoadedSettings
from trellis.storage import ObjectStorage
from trellis_http.cors import Cors

CORE_SCHEDULES = (
    Every("core.purge_answers", hours=1),
    Every("core.purge_outbox", hours=1),
    Every("core.trim_feed", hours=1),
)


def create_app() -> Flask:
    """The application with all enabled plugins, for web, stream, worker, scheduler and commands.

    Raises `SettingsError` or `LoadError`, each with every fault.
    """
    selected = select_plugins()
    app = Flask("trellis", static_folder=None, template_folder=None)
    # An address with a double slash is unknown; a redirect would be built from the Host header.
    app.url_map.merge_slashes = False
    runtime = make_runtime(app, selected.settings)
    init_observe(app)
    init_engine(app, selected.settings.core)
    init_cache(app, cache_url(runtime.redis_url), selected.settings.core.cache_local_bytes)
    follow_stale(app)
    register_core_tasks(runtime)
    bind_core_ports(app, runtime)
    load_plugins(app, runtime, selected)
    app.wsgi_app = Front(app, app.wsgi_app)  # type: ignore[method-assign]
    if origins := selected.settings.core.cors_origins:
        app.wsgi_app = Cors(app.wsgi_app, origins)  # type: ignore[method-assign]
    return app


def make_runtime(app: Flask, settings: LoadedSettings) -> Runtime:
    """Put the settings and what follows from them where everything finds them."""
    core = settings.core
    core.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    url = Broker(core.data_dir, core.redis_url).url
    runtime = Runtime(settings, quick_client(url), url)
    runtime.announcer = Announcer(lambda: runtime.redis)
    app.extensions["trellis"] = runtime
    app.config["MAX_CONTENT_LENGTH"] = core.max_body_bytes
    app.testing = core.environment == "testing"
    return runtime


def cache_url(redis_url: str) -> str:
    """The cache has a database of its own beside the queue's, so that it can be cleared."""
    address, _, query = redis_url.partition("?")
    options = [option for option in query.split("&") if option and not option.startswith("db=")]
    # It wins over a number in the path.
    return f"{address}?{'&'.join([*options, 'db=1'])}"


def register_core_tasks(runtime: Runtime) -> None:
    """The core's own durable work."""
    register_module(runtime, "core", trellis.api.tasks)
    register_module(runtime, "core", trellis.feed.tasks)
    register_module(runtime, "core", trellis.outbox.tasks)
    register_module(runtime, "core", trellis.privacy.tasks)
    register_schedules(runtime, "core", CORE_SCHEDULES)


def bind_core_ports(app: Flask, runtime: Runtime) -> None:
    """Storage for all; outside production also the sinks that show what would have been sent."""
    core = runtime.settings.core
    runtime.ports[BlobStore] = ObjectStorage(core)
    runtime.providers[BlobStore] = "core"
    if core.environment != "production":
        mailbox = LocalMailbox(core.data_dir / "mailbox")
        pushes = LocalPushSink(core.data_dir / "push")
        runtime.ports |= {Mailbox: mailbox, PushSink: pushes}
        runtime.providers |= {Mailbox: "core", PushSink: "core"}
        app.register_blueprint(local_pages(mailbox, pushes))
