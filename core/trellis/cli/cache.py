"""``trellis cache``: what Redis keeps, and making it nothing."""

from __future__ import annotations

import click


@click.group()
def cache() -> None:
    """Look at the cache, or clear it."""


@cache.command()
def stats() -> None:
    """Show what Redis keeps for each plugin, and who keeps values beside it."""
    from trellis.app import create_app
    from trellis.cache import current_cache

    with create_app().app_context():
        backend = current_cache().backend
        usage = backend.usage()
        click.echo(f"{'plugin':20} {'values':>10} {'bytes':>14}")
        for scope, (values, size) in sorted(usage.items()):
            click.echo(f"{scope:20} {values:>10,} {size:>14,}")
        click.echo(f"{len(backend.keepers())} process(es) keep values of their own beside it.")


@cache.command()
@click.argument("plugins", nargs=-1)
def clear(plugins: tuple[str, ...]) -> None:
    """Forget what is kept for PLUGINS ("core" among them), or for all, in every process."""
    from trellis.app import create_app
    from trellis.cache import current_cache
    from trellis.runtime import runtime
    from trellis.start import require_database
    from trellis.unit_of_work import unit_of_work
    from trellis_cache.tags import everything_of

    app = create_app()
    require_database(app)
    with app.app_context():
        scopes = ["core", *runtime().plugins]
        if unknown := sorted(set(plugins) - set(scopes)):
            raise click.BadParameter(
                f"{unknown[0]} is none of {', '.join(scopes)}.", param_hint="PLUGINS"
            )
        with unit_of_work() as uow:
            for scope in plugins or scopes:
                uow.invalidate(everything_of(scope), everywhere=True)
        backend = current_cache().backend
        deleted = sum(backend.delete_all(scope) for scope in plugins or scopes)
        click.echo(f"{deleted} value(s) forgotten.")
