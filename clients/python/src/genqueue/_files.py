"""Files in inputs, and the body of an upload."""

from __future__ import annotations

import mimetypes
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Union

_CHUNK = 64 * 1024


@dataclass(frozen=True, eq=False)
class File:
    """A file with a name and a media type; ``content`` is a path, bytes, or an object opened in binary mode."""

    content: os.PathLike[str] | bytes | IO[bytes]
    name: str | None = None
    media_type: str | None = None


#: What is uploaded where it stands in an input. A plain ``str`` is never read as a path.
FileLike = Union[File, os.PathLike[str], bytes, bytearray, IO[bytes]]


def is_file(value: object) -> bool:
    return isinstance(value, (File, os.PathLike, bytes, bytearray)) or hasattr(value, "read")


def as_file(value: FileLike) -> File:
    """With its name and type where they are known."""
    file = value if isinstance(value, File) else File(bytes(value) if isinstance(value, bytearray) else value)
    name = file.name
    if name is None:
        source = file.content if isinstance(file.content, os.PathLike) else getattr(file.content, "name", None)
        name = Path(source).name if isinstance(source, (str, os.PathLike)) else "file"
    media_type = file.media_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return File(file.content, name, media_type)


@dataclass(frozen=True)
class Body:
    """A multipart body of one part, which can be read again for another attempt unless it is an open file."""

    file: File
    boundary: str

    @classmethod
    def of(cls, value: FileLike) -> Body:
        return cls(as_file(value), secrets.token_hex(16))

    @property
    def content_type(self) -> str:
        return f"multipart/form-data; boundary={self.boundary}"

    @property
    def repeatable(self) -> bool:
        return isinstance(self.file.content, (os.PathLike, bytes))

    def chunks(self) -> Iterator[bytes]:
        name = re.sub(r'[\r\n"]', lambda found: f"%{ord(found[0]):02X}", self.file.name or "file")
        media_type = self.file.media_type
        yield (
            f'--{self.boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            f"Content-Type: {media_type}\r\n\r\n"
        ).encode()
        content = self.file.content
        if isinstance(content, bytes):
            yield content
        elif isinstance(content, os.PathLike):
            with open(content, "rb") as opened:
                yield from iter(lambda: opened.read(_CHUNK), b"")
        else:
            yield from iter(lambda: content.read(_CHUNK), b"")
        yield f"\r\n--{self.boundary}--\r\n".encode()


def replace_files(value: Any, link_of: Callable[[FileLike], str], of_text: Callable[[str], str]) -> Any:
    """A copy of an input with the links of uploads in place of its files; ``of_text`` is applied to the other texts."""
    if isinstance(value, str):
        return of_text(value)
    if is_file(value):
        return link_of(value)
    if isinstance(value, Mapping):
        return {key: replace_files(item, link_of, of_text) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [replace_files(item, link_of, of_text) for item in value]
    return value
