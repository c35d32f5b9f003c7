"""The event stream format of the HTML standard, section 9.2.6, without ``retry``."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_LINE_END = re.compile(r"\r\n|\n|\r(?!\Z)")


@dataclass(frozen=True)
class Event:
    type: str
    data: str
    id: str | None


def parse_events(chunks: Iterable[bytes]) -> Iterator[Event]:
    """The events in a body that arrives in pieces. An event that is not complete at its end is dropped."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    rest = ""
    type_, data, id_ = "message", list[str](), None
    for chunk in chunks:
        *lines, rest = _LINE_END.split(rest + decoder.decode(chunk))
        for line in lines:
            if line == "":
                if data or id_ is not None:
                    yield Event(type_, "\n".join(data), id_)
                type_, data, id_ = "message", [], None
                continue
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "event":
                type_ = value
            elif field == "data":
                data.append(value)
            elif field == "id":
                id_ = value
