"""What needs no service."""

from __future__ import annotations

import io
import tempfile
import unittest
from datetime import datetime, timedelta, timezone
from pathlib import Path

from genqueue import Client, File
from genqueue._client import _time
from genqueue._errors import retry_after
from genqueue._events import Event, parse_events
from genqueue._files import Body, as_file, replace_files


class Events(unittest.TestCase):
    TEXT = 'id: 1\nevent: job\ndata: {"a":\ndata: "é"}\n\n: beat\n\ndata:x\r\n\r\nevent: lost\ndata: no end\n'

    def test_do_not_depend_on_how_the_bytes_arrive(self) -> None:
        whole = [Event("job", '{"a":\n"é"}', "1"), Event("message", "x", None)]
        content = self.TEXT.encode()
        for size in range(1, len(content) + 1):
            pieces = [content[at : at + size] for at in range(0, len(content), size)]
            self.assertEqual(list(parse_events(pieces)), whole, f"in pieces of {size}")


class Files(unittest.TestCase):
    def test_are_found_anywhere_and_texts_are_never_paths(self) -> None:
        picture, path = b"\x89PNG", Path("voice.wav")
        value = {"image": picture, "list": [path, {"deep": picture}], "text": "voice.wav", "n": 1.5, "none": None}
        seen: list[object] = []

        def link_of(file: object) -> str:
            seen.append(file)
            return f"/v1/uploads/{len(seen)}"

        replaced = replace_files(value, link_of, str.upper)
        self.assertEqual(seen, [picture, path, picture])
        self.assertEqual(
            replaced,
            {
                "image": "/v1/uploads/1",
                "list": ["/v1/uploads/2", {"deep": "/v1/uploads/3"}],
                "text": "VOICE.WAV",
                "n": 1.5,
                "none": None,
            },
        )

    def test_have_names_and_types(self) -> None:
        self.assertEqual((as_file(Path("a/b.png")).name, as_file(Path("a/b.png")).media_type), ("b.png", "image/png"))
        self.assertEqual((as_file(b"x").name, as_file(b"x").media_type), ("file", "application/octet-stream"))
        named = as_file(File(b"x", "voice.wav", "audio/x-own"))
        self.assertEqual((named.name, named.media_type), ("voice.wav", "audio/x-own"))
        with tempfile.NamedTemporaryFile(suffix=".txt") as opened:
            self.assertEqual(as_file(opened.file).media_type, "text/plain")

    def test_cannot_break_out_of_the_header(self) -> None:
        body = b"".join(Body.of(File(b"x", 'a"\r\nX: y.png')).chunks())
        self.assertIn(b'filename="a%22%0D%0AX: y.png"\r\n', body)

    def test_are_repeated_only_if_they_can_be_read_again(self) -> None:
        self.assertTrue(Body.of(b"x").repeatable)
        self.assertTrue(Body.of(Path("x")).repeatable)
        self.assertFalse(Body.of(io.BytesIO(b"x")).repeatable)


class Times(unittest.TestCase):
    def test_are_sent_in_utc(self) -> None:
        summer = datetime(2026, 1, 31, 13, 0, tzinfo=timezone(timedelta(hours=1)))
        self.assertEqual(_time(summer), "2026-01-31T12:00:00.000Z")
        with self.assertRaisesRegex(ValueError, "time zone"):
            _time(datetime(2026, 1, 31))

    def test_of_retry_after_are_seconds_or_a_date(self) -> None:
        self.assertEqual(retry_after("7"), 7)
        self.assertEqual(retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), 0)
        self.assertIsNone(retry_after("soon"))
        self.assertIsNone(retry_after(None))


class Settings(unittest.TestCase):
    def test_refuse_what_is_no_address(self) -> None:
        with self.assertRaisesRegex(ValueError, 'read "localhost:3000"'):
            Client("localhost:3000")
