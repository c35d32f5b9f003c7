"""The samples of README.md, one after the other."""

from __future__ import annotations

import contextlib
import io
import os
import re
import tempfile
import unittest
from pathlib import Path

from .test_client import PIXEL

README = Path(__file__).parent.parent / "README.md"


class Readme(unittest.TestCase):
    def test_samples_run(self) -> None:
        samples = re.findall(r"^```python\n(.*?)^```$", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)
        before, said = os.getcwd(), io.StringIO()
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(said):
            os.chdir(folder)
            try:
                Path("photo.png").write_bytes(PIXEL)
                exec(compile("".join(samples), str(README), "exec"), {})
                self.assertGreater(Path("fox.webp").stat().st_size, 1000)
            finally:
                os.chdir(before)
        self.assertIn("succeeded", said.getvalue())
        self.assertIn("2 of 2\n", said.getvalue())
        self.assertIn("invalid_request [('/input/prompt', ", said.getvalue())
