"""E-mail addresses: one spelling before anything is compared, and nothing that cannot be seen.

An address is normalised first and judged afterwards, so that no spelling passes the judgement and
becomes another one later.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from trellis.errors import InvalidInput
from trellis_auth.models import EMAIL_LENGTH

# RFC 5322's dot-atom of at most 64. Few mail servers take letters beyond ASCII, whose twins trick
# the eye.
_LOCAL = re.compile(
    r"(?=.{1,64}\Z)[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+)*"
)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
# Controls, formats (zero width, direction), surrogates, private use, unassigned, separators.
_UNSEEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})
# What Unicode calls letters and marks though nothing is drawn: fillers, variation selectors.
_UNSEEN = frozenset(
    map(chr, (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0))
) | frozenset(map(chr, (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))


@dataclass(frozen=True)
class Address:
    """``mailbox`` is where mail goes; ``key`` is the same for all spellings of one address."""

    mailbox: str
    key: str


def normalise(email: str) -> Address:
    """The address in its one spelling: NFKC, the domain folded and in ASCII, no blanks around it.

    Case in the part before the @ is kept for mail and does not count for uniqueness.
    Raises InvalidInput.
    """
    text = email.strip()
    if len(text) > EMAIL_LENGTH:
        raise _fault(f"Longer than {EMAIL_LENGTH} characters.")
    _refuse_unseen(text)
    text = unicodedata.normalize("NFKC", text)
    _refuse_unseen(text)  # a compatibility character may have held one
    local, _, domain = text.rpartition("@")
    if not _LOCAL.fullmatch(local):
        raise _fault("Not an e-mail address.")
    mailbox = f"{local}@{_ascii_domain(domain)}"
    if len(mailbox) > EMAIL_LENGTH:
        raise _fault(f"Longer than {EMAIL_LENGTH} characters.")
    return Address(mailbox, mailbox.lower())


def _refuse_unseen(text: str) -> None:
    if any(c in _UNSEEN or unicodedata.category(c) in _UNSEEN_CATEGORIES for c in text):
        raise _fault("Contains a character that cannot be seen.")


def _ascii_domain(domain: str) -> str:
    try:
        ascii_domain = domain.casefold().encode("idna").decode()
    except UnicodeError:
        raise _fault("Not an e-mail address.") from None
    labels = ascii_domain.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels) or (
        len(labels) == 1 and ascii_domain != "localhost"
    ):
        raise _fault("Not an e-mail address.")
    return ascii_domain


def _fault(detail: str) -> InvalidInput:
    return InvalidInput.field("/email", detail)
