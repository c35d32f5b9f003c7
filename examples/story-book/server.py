"""
The back end of a story book: the pages of a book are pictures of one batch, made in parallel at the pace that the account allows.

POST /books       { "pages": ["a fox ...", ...], "async": true }   -> 202, or with "async": false 200 when all are made
GET  /books/<id>  -> { "id", "status", "done", "total", "pages": [{ "page", "status", "picture" }] }

GENQUEUE_URL and GENQUEUE_API_KEY name the service; PORT is 8001 by default.
"""

from __future__ import annotations

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from genqueue import ApiError, Client

genqueue = Client()
#: Seconds: a book that takes longer continues, and the page asks for it later.
PATIENCE = 120


def submit(pages: list[str]) -> str:
    """One job for each page; all are accepted, or none."""
    batch = genqueue.batch(
        preset="story-page",
        items=[{"input": {"prompt": prompt}, "metadata": {"page": page}} for page, prompt in enumerate(pages)],
    )
    return batch["id"]


def view(id: str) -> dict[str, Any]:
    batch = genqueue.get_batch(id)
    pages = [
        {
            "page": job["metadata"]["page"],
            "status": job["status"],
            # The browser loads the picture from genqueue; the link is valid for an hour.
            "picture": job["artifacts"][0]["url"] if job["artifacts"] else None,
            "problem": job["error"]["message"] if job["error"] else None,
        }
        for job in genqueue.batch_jobs(id)
    ]
    done = sum(page["picture"] is not None for page in pages)
    return {"id": id, "status": batch["status"], "done": done, "total": len(pages), "pages": pages}


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        if self.path != "/books":
            return self.answer(404, {"error": "not found"})
        order = json.loads(self.rfile.read(int(self.headers["content-length"])))
        try:
            id = submit(order["pages"])
            if order.get("async", True):
                return self.answer(202, view(id))
            genqueue.wait_batch(id, timeout=PATIENCE)
            self.answer(200, view(id))
        except TimeoutError:
            self.answer(202, view(id))
        except ApiError as error:
            # A wrong prompt, or too many jobs: the reader of the page can do something about it.
            self.answer(error.status, {"error": error.code, "detail": str(error)})

    def do_GET(self) -> None:
        try:
            self.answer(200, view(self.path.removeprefix("/books/")))
        except ApiError as error:
            self.answer(error.status, {"error": error.code})

    def answer(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8001"))), Handler)
    print(f"http://127.0.0.1:{server.server_port}/books", flush=True)
    server.serve_forever()
