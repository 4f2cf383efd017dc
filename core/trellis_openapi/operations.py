"""One operation, then and now: what it takes, what it answers, who may call it."""

from __future__ import annotations

from collections.abc import Sequence

from trellis_openapi.access import compare_access
from trellis_openapi.answers import compare_answers
from trellis_openapi.changes import Changes, Side, Verdict
from trellis_openapi.nodes import BadDocument, Node
from trellis_openapi.schemas import SchemaComparison, compare_media

_Key = tuple[str, str]

_NOTES = frozenset({"summary", "description", "externalDocs", "deprecated", "servers"})
_PARAMETER_NOTES = frozenset({"description", "deprecated", "example", "examples"})
_COMPARED = frozenset({"operationId", "tags", "parameters", "requestBody", "responses", "security"})


class OperationComparison:
    """Compares an operation that is in both documents; `old` and `new` are path item and operation.

    `in_path` holds the names in both templates: a request has the values by their places.
    """

    def __init__(
        self,
        changes: Changes,
        old: tuple[Node, Node],
        new: tuple[Node, Node],
        in_path: Sequence[Sequence[str]],
    ) -> None:
        self._changes = changes
        self._old_item, self._old = old
        self._new_item, self._new = new
        self._in_path = in_path
        self.name = str(self._old.get("operationId", self._old.pointer))
        self._sent = SchemaComparison(changes, Side.REQUEST, self.name)

    def compare(self) -> None:
        """Note every difference. Raises BadDocument."""
        self._identity()
        compare_access(self._changes, self._old, self._new, self.name)
        self._parameters()
        self._body()
        compare_answers(self._changes, self._old, self._new, self.name)
        self._changes.rest(self._old, self._new, _COMPARED, _NOTES, self.name)

    def _identity(self) -> None:
        before, after = self._old.get("operationId"), self._new.get("operationId")
        if before != after:
            words = f"the operation {before} is called {after} now"
            self._note(Verdict.CLIENTS, f"{self._new.pointer}/operationId", words)
        if self._old.names("tags") != self._new.names("tags"):
            words = "`tags` have changed, by which generated clients group operations"
            self._note(Verdict.CLIENTS, f"{self._new.pointer}/tags", words)

    # --- parameters -------------------------------------------------------------------------------

    def _parameters(self) -> None:
        before = self._all_parameters(self._old_item, self._old, self._in_path[0])
        after = self._all_parameters(self._new_item, self._new, self._in_path[1])
        for key, parameter in before.items():
            there = after.get(key)
            if there is None:
                words = f"the {_called(parameter)} is gone"
                self._note(Verdict.BREAKING, parameter.pointer, words)
            else:
                self._parameter(parameter, there)
        for key, parameter in after.items():
            if key not in before:
                demanded = parameter.get("required") is True
                words = f"the {'required ' if demanded else ''}{_called(parameter)} is new"
                verdict = Verdict.BREAKING if demanded else Verdict.COMPATIBLE
                self._note(verdict, parameter.pointer, words)

    def _all_parameters(
        self, item: Node, operation: Node, in_path: Sequence[str]
    ) -> dict[_Key, Node]:
        found: dict[_Key, Node] = {}
        for holder in (item, operation):
            stated = holder.child("parameters")
            for parameter in stated.elements() if stated else ():
                node = parameter.followed()
                place, name = str(node.get("in")), str(node.get("name"))
                if place == "path" and name in in_path:
                    name = str(in_path.index(name))
                elif place == "header":
                    name = name.lower()
                found[place, name] = node
        return found

    def _parameter(self, old: Node, new: Node) -> None:
        if old.get("name") != new.get("name") and old.get("in") == "path":
            words = f"the {_called(old)} is called `{new.get('name')}` now"
            self._note(Verdict.CLIENTS, new.pointer, words)
        demanded, demands = (one.get("required") is True for one in (old, new))
        if demanded != demands:
            verdict = Verdict.BREAKING if demands else Verdict.COMPATIBLE
            words = f"the {_called(new)} {'is required' if demands else 'may be left out'} now"
            self._note(verdict, new.pointer, words)
        before, after = old.child("schema"), new.child("schema")
        if before and after:
            self._sent.compare(before, after)
        elif before or after:
            words = f"how the {_called(new)} is written has changed"
            self._note(Verdict.UNKNOWN, new.pointer, words)
        compared = {"name", "in", "required", "schema"}
        self._changes.rest(old, new, compared, _PARAMETER_NOTES, self.name)

    # --- the body ---------------------------------------------------------------------------------

    def _body(self) -> None:
        stated = [node.child("requestBody") for node in (self._old, self._new)]
        old, new = (node.followed() if node else None for node in stated)
        if old is None or new is None:
            if old:
                self._note(Verdict.BREAKING, old.pointer, "no body is taken now")
            elif new:
                demanded = new.get("required") is True
                verdict = Verdict.BREAKING if demanded else Verdict.COMPATIBLE
                words = "a body is required now" if demanded else "a body may be sent now"
                self._note(verdict, new.pointer, words)
            return
        if old.get("required") is not True and new.get("required") is True:
            self._note(Verdict.BREAKING, new.pointer, "a body is required now")
        elif old.get("required") is True and new.get("required") is not True:
            self._note(Verdict.COMPATIBLE, new.pointer, "the body may be left out now")
        self._body_limit(old, new)
        before, after = old.members("content"), new.members("content")
        for name, media in before.items():
            if name not in after:
                self._note(Verdict.BREAKING, media.pointer, f"`{name}` is no longer taken")
            else:
                compare_media(self._changes, self._sent, media, after[name])
        for name, media in after.items():
            if name not in before:
                self._note(Verdict.COMPATIBLE, media.pointer, f"`{name}` is taken, too")
        compared = {"required", "content", "x-max-bytes"}
        self._changes.rest(old, new, compared, {"description"}, self.name)

    def _body_limit(self, old: Node, new: Node) -> None:
        before, after = (_bytes(one) for one in (old, new))
        if before == after:
            return
        told = [
            f"{most} bytes" if most else "as many bytes as is not said" for most in (after, before)
        ]
        if before and after:
            verdict = Verdict.BREAKING if after < before else Verdict.COMPATIBLE
        else:
            verdict = Verdict.UNKNOWN
        words = f"a body may have {told[0]}, it was {told[1]}"
        self._note(verdict, f"{new.pointer}/x-max-bytes", words)

    def _note(self, verdict: Verdict, pointer: str, words: str) -> None:
        self._changes.add(verdict, pointer, words, self.name)


def _called(parameter: Node) -> str:
    return f"{parameter.get('in')} parameter `{parameter.get('name')}`"


def _bytes(body: Node) -> int | None:
    limit = body.get("x-max-bytes")
    if limit is not None and type(limit) is not int:
        raise BadDocument(f"{body.pointer}/x-max-bytes: not a number")
    return limit
