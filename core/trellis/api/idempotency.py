"""`Idempotency-Key`: a client sends an unsafe request twice, and it happens once.

By draft-ietf-httpapi-idempotency-key-header-06. The answer is stored in the commit of what the
request did, so it survives a crash between the commit and the reply. A refusal that wrote nothing,
and every 5xx, is not stored: the next request with the key runs anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cryptography.fernet import MultiFernet
from flask import Flask, Response, abort, g, request
from sqlalchemy import BigInteger, and_, bindparam, exists, func, insert, select
from sqlalchemy.exc import IntegrityError
from werkzeug.exceptions import HTTPException

from trellis.api.models import StoredAnswer
from trellis.contracts import Identity, port
from trellis.db.base import db
from trellis.db.clock import database_now
from trellis.db.reads import fetch_one, fetch_value
from trellis.db.secret import cipher
from trellis.errors import (
    BadRequest,
    DomainError,
    IdempotencyKeyReused,
    PreconditionFailed,
    RequestInFlight,
)
from trellis.unit_of_work import Collection, collection
from trellis_statements.compiled import Compiled

HEADER = "Idempotency-Key"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
KEEP_SECONDS = 24 * 3600
"""For so long a repeated request gets the stored answer."""

LONGEST_KEY = 255
_LEAVES = "DELETE"
"""How people end their sessions, and close their accounts."""

_this = StoredAnswer.id == bindparam("row_id")
_ANSWER = Compiled(select(StoredAnswer.fingerprint, StoredAnswer.answer).where(_this))
_free = ~exists().where(_this)
_lock = func.pg_try_advisory_xact_lock(bindparam("number", type_=BigInteger()))
_FREE = Compiled(select(_free))
_FREE_AND_LOCKED = Compiled(select(and_(_lock, _free)))
_STORE = Compiled(
    insert(StoredAnswer).values(
        created_at=database_now(),
        **{name: bindparam(name) for name in ("id", "fingerprint", "subject", "answer")},
    )
)


class _LostRaceError(Exception):
    """Another process runs the same request, or has finished it since we looked."""


def idempotency_key() -> str | None:
    """The key of the present request, without the quotes of a structured field (RFC 9651).

    Raises BadRequest for one that is empty, long or not printable ASCII.
    """
    sent = request.headers.get(HEADER)
    if sent is None:
        return None
    key = sent[1:-1] if len(sent) > 1 and sent[0] == sent[-1] == '"' else sent
    if not 0 < len(key) <= LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise BadRequest(f"{HEADER} takes 1 to {LONGEST_KEY} printable ASCII characters.")
    return key


def answered_once(
    app: Flask, key: str, view: Callable[[], Any], check: Callable[[], None] | None = None
) -> Response:
    """The answer of the first request with this key from this caller to this operation.

    `check` is called before anything is written, in a transaction that sees one state of the
    database. Raises `RequestInFlight` and `IdempotencyKeyReused`.
    """
    row_id, fingerprint = _row_id(key), _fingerprint(key)
    if (stored := _stored(row_id, fingerprint, key)) is not None:
        return stored

    def begun() -> None:
        _claim(row_id)
        if check is not None:
            check()

    with _under_way(row_id):
        try:
            with collection(begun, isolated=check is not None) as uow:
                response = answer_in_unit(app, uow, view)
                if uow.has_begun or response.status_code < 400:
                    _store(uow, row_id, fingerprint, key, response)
                return response
        except _LostRaceError:
            if (stored := _stored(row_id, fingerprint, key)) is None:
                raise RequestInFlight(retry_after=1) from None
            return stored


def answer_to_who_left() -> Response | None:
    """What the call answered that ended the session of its own caller, who asks for it again.

    For that a refused caller needs the very credential and the very key of the first time.
    """
    key = idempotency_key() if request.method == _LEAVES else None
    return None if key is None else _stored(_left_id(key), _fingerprint(key), key)


def answer_in_unit(app: Flask, uow: Collection, view: Callable[[], Any]) -> Response:
    """What the view answers; a refusal leaves standing what was written before it."""
    try:
        response = app.make_response(view())
    except PreconditionFailed:
        raise
    except (DomainError, HTTPException) as refusal:
        if not uow.has_begun:
            raise  # nothing is written that would have to be remembered
        response = app.make_response(app.handle_user_exception(refusal))
    if response.status_code >= 500:
        abort(response)  # which takes back what was written
    return response


def _row_id(key: str, caller: str | None = None) -> str:
    if caller is None:
        principal = g.get("principal")
        caller = f"{principal.kind}:{principal.id}" if principal else "anonymous"
    parts = (caller, request.method, str(request.endpoint), key)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _left_id(key: str) -> str:
    return _row_id(key, f"credential:{request.headers.get('Authorization')}")


def _fingerprint(key: str) -> str:
    """A hash of what was asked; of a form its fields, as the boundary is another each time.

    It begins with the key, which is nowhere stored, or a password in it could be guessed offline.
    """
    digest = hashlib.sha256(f"{key}\n{request.full_path}".encode())
    if request.mimetype in ("multipart/form-data", "application/x-www-form-urlencoded"):
        digest.update(json.dumps(list(request.form.items(multi=True))).encode())
        for name, file in request.files.items(multi=True):
            digest.update(json.dumps([name, file.filename, file.mimetype]).encode())
            digest.update(hashlib.file_digest(file.stream, "sha256").digest())  # type: ignore[arg-type]
            file.seek(0)
    else:
        digest.update(request.get_data())
    return digest.hexdigest()


_in_flight: dict[str, object] = {}


@contextmanager
def _under_way(row_id: str) -> Iterator[None]:
    """Refuse a second request of this process from the start, before it hashes or uploads."""
    this = object()
    if _in_flight.setdefault(row_id, this) is not this:
        raise RequestInFlight(retry_after=1)
    try:
        yield
    finally:
        del _in_flight[row_id]


def _claim(row_id: str) -> None:
    """Be the one transaction for this key; on SQLite every writer is alone already.

    A row that comes between the look and the lock is met when ours is stored.
    """
    if db.engine.dialect.name == "postgresql":
        number = int.from_bytes(bytes.fromhex(row_id)[:8], signed=True)
        free = fetch_value(_FREE_AND_LOCKED, row_id=row_id, number=number)
    else:
        free = fetch_value(_FREE, row_id=row_id)
    if not free:
        raise _LostRaceError


def _store(uow: Collection, row_id: str, fingerprint: str, key: str, response: Response) -> None:
    head = json.dumps([response.status_code, list(response.headers.items())]).encode()
    plain = len(head).to_bytes(4) + head + response.get_data()
    who = g.get("principal")
    subjects = {row_id: who and who.id}
    if who and request.method == _LEAVES and not port(Identity).alive([who]):
        subjects[_left_id(key)] = None  # or it would be erased before it is asked for
    for id_, subject in subjects.items():
        answer = _cipher(id_, key).encrypt(plain)
        try:
            uow.execute(_STORE, id=id_, fingerprint=fingerprint, subject=subject, answer=answer)
        except IntegrityError as error:
            raise _LostRaceError from error


def _stored(row_id: str, fingerprint: str, key: str) -> Response | None:
    found = fetch_one(_ANSWER, row_id=row_id)
    if found is None:
        return None
    if found.fingerprint != fingerprint:
        raise IdempotencyKeyReused
    plain = _cipher(row_id, key).decrypt(found.answer)
    length = 4 + int.from_bytes(plain[:4])
    status, headers = json.loads(plain[4:length])
    response = Response(plain[length:], status, headers)
    response.headers["Idempotency-Replayed"] = "true"
    return response


def _cipher(row_id: str, key: str) -> MultiFernet:
    """Neither the database nor our own keys alone open an answer: it takes the client's key too."""
    return cipher(b"trellis stored answer 2", f"{row_id} {key}".encode())
