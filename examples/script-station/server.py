"""
The back end of a script station: texts by a model that thinks for a minute, longer than browsers and proxies wait.

POST /jobs       { "type": "video_outline", "input": { "prompt": ... }, "user_id": ... } -> { "jobId" }
GET  /jobs/<id>  -> the record

The product keeps its own records, in SQLite. A thread follows all changes at genqueue and writes them down with the place in the
stream, so a restart continues where it stopped. Neither a public address nor a tunnel is needed.

GENQUEUE_URL and GENQUEUE_API_KEY name the service, DATABASE the file; PORT is 8002 by default.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import uuid
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from genqueue import ApiError, Client

if TYPE_CHECKING:
    from genqueue.types import Job

TYPES = {"video_outline": "video-outline", "title_generation": "video-titles", "script_generation": "video-script"}
DATABASE = os.environ.get("DATABASE", "script-station.db")

genqueue = Client()


def database() -> sqlite3.Connection:
    db = sqlite3.connect(DATABASE, timeout=30, isolation_level=None)
    db.row_factory = sqlite3.Row
    return db


def create_tables() -> None:
    database().executescript(
        """
        CREATE TABLE IF NOT EXISTS job (
          id TEXT PRIMARY KEY, type TEXT, status TEXT, input_payload TEXT, genqueue_id TEXT, rev INTEGER DEFAULT 0,
          prediction_id TEXT, output TEXT, error TEXT, created_at TEXT, updated_at TEXT, user_id TEXT
        );
        CREATE TABLE IF NOT EXISTS place (one INTEGER PRIMARY KEY CHECK (one = 1), cursor TEXT);
        """
    )


def create(order: dict[str, Any]) -> str:
    """The record comes first, and its id is the idempotency key: a crash between the two leaves nothing unclear."""
    id, now = str(uuid.uuid4()), datetime.now(timezone.utc).isoformat()
    payload = json.dumps(order["input"])
    database().execute(
        "INSERT INTO job (id, type, status, input_payload, created_at, updated_at, user_id) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (id, order["type"], "pending", payload, now, now, order["user_id"]),
    )
    try:
        send(id, order["type"], order["input"], order["user_id"])
    except ApiError as error:
        # After a 5xx the job may exist: the next start sends it again, with the same key.
        if error.status < 500:
            fail(id, error)
        raise
    return id


def send(id: str, type: str, input: dict[str, Any], user_id: str) -> None:
    write_down(
        genqueue.submit(
            preset=TYPES[type], input=input, user=user_id, metadata={"job_id": id}, idempotency_key=f"station-{id}"
        )
    )


def fail(id: str, error: ApiError) -> None:
    """A record that was refused, or whose job is gone, is not sent again."""
    now = datetime.now(timezone.utc).isoformat()
    database().execute(
        "UPDATE job SET status = 'failed', error = ?, updated_at = ? WHERE id = ?",
        (str(error), now, id),
    )


def write_down(job: Job) -> None:
    """An older state never replaces a newer one: `rev` increases with each change."""
    status = {"queued": "pending", "starting": "processing"}.get(job["status"], job["status"])
    database().execute(
        """
        UPDATE job SET status = ?, genqueue_id = ?, rev = ?, prediction_id = ?, output = ?, error = ?, updated_at = ?
        WHERE id = ? AND rev < ?
        """,
        (
            status,
            job["id"],
            job["rev"],
            job["prediction_id"],
            job["output"] if job["status"] == "succeeded" else None,
            job["error"]["message"] if job["error"] else None,
            job["updated_at"],
            job["metadata"].get("job_id"),
            job["rev"],
        ),
    )


def catch_up() -> None:
    """Sends what a crash left unsent, and reads what changed meanwhile."""
    for row in database().execute("SELECT * FROM job WHERE status IN ('pending', 'processing')").fetchall():
        try:
            if row["genqueue_id"] is None:
                send(row["id"], row["type"], json.loads(row["input_payload"]), row["user_id"])
            else:
                write_down(genqueue.get(row["genqueue_id"]))
        except ApiError as error:
            if error.status not in (404, 422):
                raise
            fail(row["id"], error)


def follow() -> None:
    row = database().execute("SELECT cursor FROM place").fetchone()
    for cursor, job in genqueue.changes(row["cursor"] if row else None):
        if job is None:
            catch_up()
        else:
            write_down(job)
        database().execute("INSERT OR REPLACE INTO place (one, cursor) VALUES (1, ?)", (cursor,))


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        order = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if order.get("type") not in TYPES:
            return self.answer(422, {"error": f"type: expected one of {', '.join(TYPES)}"})
        try:
            self.answer(202, {"jobId": create(order)})
        except ApiError as error:
            self.answer(error.status, {"error": error.code, "detail": str(error)})

    def do_GET(self) -> None:
        row = database().execute("SELECT * FROM job WHERE id = ?", (self.path.removeprefix("/jobs/"),)).fetchone()
        self.answer(*((200, dict(row)) if row else (404, {"error": "not found"})))

    def answer(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


if __name__ == "__main__":
    create_tables()
    threading.Thread(target=follow, daemon=True).start()
    catch_up()
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8002"))), Handler)
    print(f"http://127.0.0.1:{server.server_port}/jobs", flush=True)
    server.serve_forever()
