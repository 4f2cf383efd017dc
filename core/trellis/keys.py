"""Whether the keys of this machine are the installation's: under others, what it writes is lost."""

from __future__ import annotations

from sqlalchemy import select, update

from trellis.db.installation import Installation
from trellis.db.reads import fetch_value
from trellis.db.secret import key_fingerprints
from trellis.errors import StartError
from trellis.unit_of_work import unit_of_work

_NOTED = select(Installation.secret_keys).where(Installation.id == 1)


class WrongKeys(StartError):
    """`secret_keys` lack the key that encrypted last."""


def require_secret_keys() -> None:
    """Raise WrongKeys unless `secret_keys` hold the one that encrypted last; note a new one.

    A key that is noted already is no newer for coming first again, as it does on a machine that a
    rotation has not reached yet.
    """
    held = key_fingerprints()
    if held[0] in _noted(held, fetch_value(_NOTED)):
        return
    with unit_of_work() as uow:
        noted = _noted(held, uow.session.scalar(_NOTED.with_for_update()))
        if held[0] not in noted:
            keys = " ".join([*noted, held[0]])
            uow.session.execute(
                update(Installation).where(Installation.id == 1).values(secret_keys=keys)
            )


def _noted(held: list[str], keys: str | None) -> list[str]:
    noted = (keys or "").split()
    if noted and noted[-1] not in held:
        raise WrongKeys(
            f"secret_keys: this installation's secrets need the key with fingerprint {noted[-1]}, "
            f"and here is {', '.join(held)}; give it that key, behind a new one."
        )
    return noted
