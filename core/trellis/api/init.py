"""Puts the API onto an application: hooks, errors, JSON, routes, the document and its page."""

from __future__ import annotations

from collections.abc import Iterable

from flask import Flask

from trellis.api.access import enforce_access
from trellis.api.blueprint import Blueprint
from trellis.api.docs_page import docs_page
from trellis.api.execution import install_execution
from trellis.api.headers import finish_headers, send_form
from trellis.api.json_provider import StrictJSON
from trellis.api.openapi import Api, ApiFault, serve_document
from trellis.api.problems import install_problems
from trellis.api.requests import check_request


def init_api(
    app: Flask,
    blueprints: Iterable[tuple[str, Blueprint]],
    *,
    public_url: str,
    version: str,
) -> list[ApiFault]:
    """Register the blueprints, each with the name of its plugin; returns what is wrong with them.

    A caller must not serve an application with faults, nor one with `undeclared_views`.
    """
    app.json = StrictJSON(app)
    install_problems(app)
    install_execution(app)
    app.before_request(enforce_access)
    app.before_request(check_request)
    app.after_request(send_form)  # after the one below: Flask goes through them backwards
    app.after_request(finish_headers)
    api = Api(app, public_url=public_url, version=version)
    for plugin, blueprint in blueprints:
        api.add(plugin, blueprint)
    app.add_url_rule("/v1/openapi.json", view_func=serve_document)
    app.register_blueprint(docs_page)
    return api.faults
