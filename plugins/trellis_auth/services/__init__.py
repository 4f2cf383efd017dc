"""The verbs of auth, and the only writers of its tables."""

from trellis_auth.services.accounts import (
    Account,
    account,
    close_account,
    create_operator,
    resend_code,
    sign_up,
    verify,
)
from trellis_auth.services.bulk import add_sessions, add_users
from trellis_auth.services.endings import end_all_sessions, end_own_session
from trellis_auth.services.keys import KEYS_TAG, published
from trellis_auth.services.principals import identity
from trellis_auth.services.privacy import erase_user, export_user
from trellis_auth.services.sessions import SessionInfo, page_of_sessions, refresh, sign_in
from trellis_auth.services.tokens import Tokens
from trellis_auth.services.upkeep import sweep

__all__ = [
    "KEYS_TAG",
    "Account",
    "SessionInfo",
    "Tokens",
    "account",
    "add_sessions",
    "add_users",
    "close_account",
    "create_operator",
    "end_all_sessions",
    "end_own_session",
    "erase_user",
    "export_user",
    "identity",
    "page_of_sessions",
    "published",
    "refresh",
    "resend_code",
    "sign_in",
    "sign_up",
    "sweep",
    "verify",
]
