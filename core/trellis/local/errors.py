"""Why a laptop's start failed, in words for its user."""

from __future__ import annotations


class StartError(Exception):
    """Nothing can be started; the text is one sentence that says why and what helps.

    The command line shows the sentence alone and exits with code 2.
    """
