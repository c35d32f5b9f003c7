"""Against a running service with the simulator: GENQUEUE_URL and GENQUEUE_API_KEY say where."""

from __future__ import annotations

import http.client
import os
import tempfile
import threading
import unittest
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from genqueue import ApiError, Client, File, JobFailed, NetworkError, is_complete, is_final

PICTURE = "black-forest-labs/flux-schnell"
#: A PNG of one pixel.
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000b49444154789c63f80f040009fb03fdfb5e6b2b"
    "0000000049454e44ae426082"
)
#: It has a signature, and no picture behind it.
BROKEN = PIXEL[:40]
RESTORE = "flux-kontext-apps/restore-image"
#: A model that takes long.
TEXT = "google/gemini-3-pro"


class Service(unittest.TestCase):
    client: ClassVar[Client]

    @classmethod
    def setUpClass(cls) -> None:
        cls.client = Client()


class Jobs(Service):
    def test_run_returns_the_job_with_absolute_links(self) -> None:
        job = self.client.run(model=PICTURE, input={"prompt": "a fox"}, user="42", metadata={"order": 7})
        self.assertEqual(job["status"], "succeeded")
        [artifact] = job["artifacts"]
        self.assertTrue(artifact["url"].startswith(os.environ["GENQUEUE_URL"]))
        self.assertEqual(job["output"], [artifact["url"]])
        content = self.client.download(artifact)
        self.assertEqual(len(content), artifact["bytes"])
        with tempfile.TemporaryDirectory() as folder:
            saved = self.client.download(artifact, folder)
            self.assertEqual((saved.parent, saved.name, saved.read_bytes()), (Path(folder), artifact["name"], content))
            self.assertEqual(os.listdir(folder), [artifact["name"]])
            with self.assertRaisesRegex(ValueError, "SHA-256"):
                self.client.download({**artifact, "sha256": "0" * 64}, Path(folder, "wrong.webp"))
            self.assertEqual(os.listdir(folder), [artifact["name"]])

        found = list(self.client.list_jobs(user="42", metadata={"order": 7}, status="succeeded", preset=None))
        self.assertIn(job["id"], [one["id"] for one in found])
        tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
        self.assertEqual(list(self.client.list_jobs(created_after=tomorrow)), [])
        self.assertEqual(
            [one["id"] for one in self.client.list_jobs(prediction_id=job["prediction_id"])],
            [job["id"]],
        )

    def test_events_show_each_state_until_the_end(self) -> None:
        job = self.client.submit(model=PICTURE, input={"prompt": "a fox"})
        seen = list(self.client.events(job["id"]))
        self.assertEqual(seen[-1]["status"], "succeeded")
        self.assertEqual([one["rev"] for one in seen], sorted(one["rev"] for one in seen))
        self.assertTrue(all(not is_final(one) for one in seen[:-1]))

    def test_a_job_that_fails_raises_from_run_and_not_from_wait(self) -> None:
        with self.assertRaises(JobFailed) as raised:
            self.client.run(model=RESTORE, input={"input_image": File(BROKEN, "photo.png")})
        self.assertEqual(raised.exception.code, "prediction_failed")
        self.assertEqual(raised.exception.job["status"], "failed")
        self.assertEqual(self.client.wait(raised.exception.job["id"])["status"], "failed")

    def test_cancel_delete_and_retry(self) -> None:
        job = self.client.submit(model=TEXT, input={"prompt": "a fox"})
        self.client.cancel(job["id"])
        self.assertEqual(self.client.wait(job["id"])["status"], "canceled")
        again = self.client.retry(job["id"])
        self.assertEqual(again["retry_of"], job["id"])
        self.client.cancel(again["id"])
        self.client.wait(again["id"])
        self.client.delete(again["id"])
        with self.assertRaises(ApiError) as raised:
            self.client.get(again["id"])
        self.assertEqual((raised.exception.status, raised.exception.code), (404, "not_found"))

    def test_waiting_ends_with_its_time_and_the_job_continues(self) -> None:
        job = self.client.submit(model=TEXT, input={"prompt": "a fox"})
        with self.assertRaises(TimeoutError):
            self.client.wait(job["id"], timeout=0.3)
        self.client.cancel(job["id"])
        self.client.wait(job["id"])

    def test_a_refusal_names_its_fields(self) -> None:
        with self.assertRaises(ApiError) as raised:
            self.client.submit(model=PICTURE, input={"prompt": 7})
        self.assertEqual(raised.exception.code, "invalid_request")
        self.assertEqual([error["pointer"] for error in raised.exception.errors], ["/input/prompt"])

    def test_files_in_an_input_are_uploaded(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "old photo.png")
            path.write_bytes(PIXEL)
            job = self.client.submit(model=RESTORE, input={"input_image": path})
        link = job["input"]["input_image"] if job["input"] else ""
        self.assertTrue(str(link).startswith(os.environ["GENQUEUE_URL"] + "/v1/uploads/"))
        self.assertEqual(self.client.wait(job["id"])["status"], "succeeded")
        # A link that an answer contained can be used in another input.
        again = self.client.submit(model=RESTORE, input={"input_image": link})
        self.assertEqual(self.client.wait(again["id"])["status"], "succeeded")

    def test_a_watcher_with_a_token_reads_this_job_alone(self) -> None:
        job, other = (self.client.submit(model=PICTURE, input={"prompt": "a fox"}) for _ in range(2))
        watcher = Client(key=self.client.job_token(job["id"])["token"])
        self.assertEqual(watcher.wait(job["id"])["status"], "succeeded")
        with self.assertRaises(ApiError):
            watcher.get(other["id"])

    def test_changes_go_on_where_an_earlier_reader_stopped(self) -> None:
        changes = self.client.changes()
        job = self.client.submit(model=PICTURE, input={"prompt": "a fox"})
        # The stream begins with the first event that is read, so changes before that are not in it.
        cursor = None
        worker = threading.Thread(target=lambda: self.client.run(model=PICTURE, input={"prompt": "a fox"}))
        worker.start()
        cursor, changed = next(changes)
        worker.join()
        changes.close()  # type: ignore[attr-defined]
        self.assertIsNotNone(cursor)
        self.assertIsNotNone(changed)
        self.client.wait(job["id"])
        for _, later in self.client.changes(cursor):
            if later is not None and later["status"] == "succeeded":
                break


class Batches(Service):
    def test_a_batch_is_complete_when_all_its_jobs_are(self) -> None:
        picture = {"input_image": PIXEL}
        batch = self.client.batch(
            items=[
                {"model": PICTURE, "input": {"prompt": "one"}, "metadata": {"page": 1}},
                {"model": RESTORE, "input": {"input_image": BROKEN}},
                {"model": RESTORE, "input": picture},
            ],
        )
        done = self.client.wait_batch(batch["id"], timeout=120)
        self.assertTrue(is_complete(done))
        self.assertEqual((done["status"], done["counts"]["succeeded"]), ("partial", 2))
        self.assertEqual([job["position"] for job in self.client.batch_jobs(batch["id"])], [0, 1, 2])
        lines = list(self.client.batch_manifest(batch["id"]))
        self.assertEqual([line["status"] for line in lines], ["succeeded", "failed", "succeeded"])
        self.assertTrue(lines[0]["artifacts"][0]["url"].startswith("http"))
        again = self.client.retry_batch(batch["id"])
        self.assertEqual(again["counts"]["total"], 1)
        self.client.cancel_batch(again["id"])
        self.assertIn(again["id"], [one["id"] for one in self.client.list_batches(limit=5)])


class Lossy(BaseHTTPRequestHandler):
    """Passes a request on, and closes the connection in place of the first answer to a submission."""

    keys: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        target = urlsplit(os.environ["GENQUEUE_URL"])
        connection = http.client.HTTPConnection(target.hostname or "", target.port)
        names = ("authorization", "content-type", "idempotency-key")
        connection.request("POST", self.path, body, {name: self.headers[name] for name in names})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        self.keys.append(self.headers["idempotency-key"])
        if len(self.keys) > 1:
            self.send_response(answer.status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


class Trouble(Service):
    def test_a_lost_answer_is_asked_for_again_with_the_same_key(self) -> None:
        with ThreadingHTTPServer(("127.0.0.1", 0), Lossy) as proxy:
            threading.Thread(target=proxy.serve_forever, daemon=True).start()
            job = Client(f"http://127.0.0.1:{proxy.server_port}").submit(model=PICTURE, input={"prompt": "once"})
            proxy.shutdown()
        first, second = Lossy.keys
        self.assertEqual(first, second)
        same = self.client.submit(model=PICTURE, input={"prompt": "once"}, idempotency_key=first)
        self.assertEqual(same["id"], job["id"])

    def test_a_service_that_is_not_there_is_a_network_error_with_the_key(self) -> None:
        with self.assertRaises(NetworkError) as raised:
            Client("http://127.0.0.1:9", attempts=1).submit(model=PICTURE, input={}, idempotency_key="mine")
        self.assertEqual(raised.exception.idempotency_key, "mine")

    def test_a_wrong_key_is_said(self) -> None:
        with self.assertRaises(ApiError) as raised:
            Client(key="gq_wrong").get("job_01JQ8ZK3V9C4T2M7X5R1B6N0PD")
        self.assertEqual(raised.exception.code, "unauthenticated")
        with self.assertRaises(ApiError):
            next(Client(key="gq_wrong").changes())
