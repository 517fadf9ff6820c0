"""A stand-in for Hugging Face on 127.0.0.1: small files from the hub itself, large ones from a storage host."""

from __future__ import annotations

import hashlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = 100_000
BLOCK = 2**16


class FakeHub:
    """Serves ``files`` (repository/name -> bytes) as the hub does, and makes faults on demand.

    Attributes:
        url: for HF_ENDPOINT.
        commit: what "main" and every commit asked for is answered with.
        requests: (method, repository/name, Range or None, whether a token came along) of every request, the storage
            host's with "storage:" in front of the name.
        cut_after: bytes after which the next transfer breaks off.
        delay: seconds between blocks of 64 kB.
    """

    def __init__(self, files: dict[str, bytes]):
        self.files, self.commit, self.delay = files, COMMIT, 0.0
        self.requests: list[tuple[str, str, str | None, bool]] = []
        self.cut_after: int | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self):
                self.answer(body=False)

            def do_GET(self):
                self.answer(body=True)

            def log_message(self, *args):
                pass

            def answer(self, body: bool):
                owner, repository, _, _, *rest = self.path.lstrip("/").removeprefix("storage/").split("/")
                key = "/".join([owner, repository, *rest])
                stored = self.path.startswith("/storage/")
                token = self.headers.get("Authorization") is not None
                note = f"storage:{key}" if stored else key
                outer.requests.append((self.command, note, self.headers.get("Range"), token))
                data = outer.files.get(key)
                if data is None:
                    self.reply(404, {"X-Error-Code": "EntryNotFound"})
                elif len(data) > LARGE and not stored:
                    # Another name of this machine, so that the storage host is another one than the hub.
                    storage = f"http://localhost:{outer.server.server_port}/storage{self.path}"
                    size = {"X-Linked-Size": str(len(data)), "X-Linked-ETag": tag(data)}
                    self.reply(302, {"Location": storage, "X-Repo-Commit": outer.commit, **size})
                else:
                    self.send_data(data, body)

            def send_data(self, data: bytes, body: bool):
                start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
                headers = {"ETag": tag(data), "X-Repo-Commit": outer.commit, "Content-Length": str(len(data) - start)}
                if start:
                    headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
                self.reply(206 if start else 200, headers)
                part = data[start:]
                if body and outer.cut_after is not None:
                    part, outer.cut_after, self.close_connection = part[: outer.cut_after], None, True
                if body:
                    try:
                        for first in range(0, len(part), BLOCK):
                            self.wfile.write(part[first : first + BLOCK])
                            time.sleep(outer.delay)
                    except OSError:  # the other side has cancelled
                        self.close_connection = True

            def reply(self, status: int, headers: dict[str, str]):
                self.send_response(status)
                for name, value in {"Content-Length": "0", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> FakeHub:
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exception) -> None:
        self.server.shutdown()
        self.server.server_close()


def tag(data: bytes) -> str:
    """As the hub tags contents: SHA-256 of large files, git's SHA-1 of small ones."""
    if len(data) > LARGE:
        return f'"{hashlib.sha256(data).hexdigest()}"'
    return f'"{hashlib.sha1(b"blob %d" % len(data) + bytes(1) + data).hexdigest()}"'
