"""Pages that show the local mailbox and the push sink: HTML for people, JSON for programs.

They are for development alone: whoever reaches them reads every code that is sent.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flask import (
    Blueprint,
    Response,
    abort,
    jsonify,
    render_template,
    request,
    send_from_directory,
)
from flask.typing import ResponseReturnValue

from trellis.api import access
from trellis.local.mailbox import Mail, Mailbox
from trellis.local.push_sink import Push, PushSink

_STATIC = Path(__file__).parent / "static"
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Vary": "Accept",
}


def local_pages(mailbox: Mailbox, push_sink: PushSink) -> Blueprint:
    """The blueprint `local` with /local/mailbox, /local/mailbox/<id> and /local/push.

    The lists take `?to=`: an address or a user id in the mailbox, a user id for pushes.
    """
    pages = Blueprint(
        "local",
        __name__,
        url_prefix="/local",
        template_folder="templates",
    )
    everybody = access(
        public="a laptop shows what would have been sent; production has no such page"
    )

    @pages.get("/static/<path:filename>", endpoint="static")
    @everybody
    def stylesheet(filename: str) -> Response:
        return send_from_directory(_STATIC, filename)

    @pages.get("/mailbox")
    @everybody
    def mailbox_page() -> ResponseReturnValue:
        to = request.args.get("to") or None
        mails = mailbox.mails(to)
        if _wants_json():
            return jsonify(items=[_mail(mail) for mail in mails])
        return render_template("local/mailbox.html", mails=mails, to=to)

    @pages.get("/mailbox/<mail_id>")
    @everybody
    def mail_page(mail_id: str) -> ResponseReturnValue:
        mail = mailbox.mail(mail_id) or abort(404)
        return (
            jsonify(_mail(mail)) if _wants_json() else render_template("local/mail.html", mail=mail)
        )

    @pages.get("/push")
    @everybody
    def push_page() -> ResponseReturnValue:
        to = request.args.get("to") or None
        pushes = push_sink.pushes(to)
        if _wants_json():
            return jsonify(items=[_push(push) for push in pushes])
        return render_template("local/push.html", pushes=pushes, to=to)

    @pages.after_request
    def harden(response: Response) -> Response:
        response.headers.update(_HEADERS)
        return response

    return pages


def _mail(mail: Mail) -> dict[str, Any]:
    return {
        "id": mail.id,
        "to": ", ".join(mail.to),
        "subject": mail.subject,
        "text": mail.text,
        "created_at": mail.created_at.isoformat(),
    }


def _push(push: Push) -> dict[str, Any]:
    return {"id": push.id, "push": push.push, "created_at": push.created_at.isoformat()}


def _wants_json() -> bool:
    kinds = ("text/html", "application/json")  # the first one for a caller without a preference
    return request.accept_mimetypes.best_match(kinds) == "application/json"
