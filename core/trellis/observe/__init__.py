"""What can be seen of a running Trellis: logs, metrics, request ids, the audit trail."""

from __future__ import annotations

from flask import Flask


def init_observe(app: Flask) -> None:
    """Set up logging and watch every request of the application; the first step after settings."""
    # Imported here, because everything that logs or counts imports this package.
    from trellis.observe import logs, request, statements
    from trellis.runtime import Runtime

    runtime: Runtime = app.extensions["trellis"]
    core = runtime.settings.core
    logs.configure_logging(core.log_level, core.log_format)
    statements.listen()
    request.watch(app)
