"""A small synchronous client of ComfyUI's HTTP and websocket interface, as any user interface would use it."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

FINAL = ("execution_success", "execution_error", "execution_interrupted")


@dataclass
class Result:
    """What one queued prompt did.

    Attributes:
        status: "success", "error" (a node raised), "interrupted", or "refused" (the prompt never ran).
        outputs: node id -> the node's ui dictionary (images, text, animated, ...).
        error: the host's error message data, for "error".
        node_errors: node id -> validation errors; other branches of the graph may still have run.
        executed, cached: node ids that ran, and that were taken from the cache.
        progress: (node id, value, maximum) in order of arrival.
        previews: binary previews, without their header.
        seconds: from queueing to the end.
    """

    status: str = ""
    outputs: dict[str, dict] = field(default_factory=dict)
    error: dict = field(default_factory=dict)
    node_errors: dict[str, dict] = field(default_factory=dict)
    executed: list[str] = field(default_factory=list)
    cached: list[str] = field(default_factory=list)
    progress: list[tuple[str, float, float]] = field(default_factory=list)
    previews: list[bytes] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def message(self) -> str:
        """The sentence a user reads on the red node."""
        if self.error:
            return self.error.get("exception_message", "")
        details = [e for node in self.node_errors.values() for e in node.get("errors", [])]
        return "\n".join(f"{e.get('message')}: {e.get('details')}" for e in details)

    def ok(self) -> Result:
        """Itself; an assertion error with all the details when the prompt did not succeed."""
        trace = "".join(self.error.get("traceback", []))
        good = self.status == "success" and not self.node_errors
        assert good, f"{self.status}: {self.message}\n{json.dumps(self.node_errors)}\n{trace}"
        return self

    def text(self, node: str) -> str:
        """All text a node shows, joined."""
        return "\n".join(self.outputs.get(node, {}).get("text", []))


class Client:
    """Talks to one server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str):
        """A JSON answer."""
        return json.loads(self.get_bytes(path))

    def get_bytes(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=60) as response:
            return response.read()

    def post(self, path: str, data: dict) -> tuple[int, dict]:
        """Status code and JSON answer; error codes do not raise."""
        request = urllib.request.Request(
            self.url + path, json.dumps(data).encode(), {"Content-Type": "application/json"}, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                body, status = response.read(), response.status
        except urllib.error.HTTPError as error:
            body, status = error.read(), error.code
        try:
            return status, json.loads(body or b"{}")
        except json.JSONDecodeError:
            return status, {"body": body.decode(errors="replace")}

    def object_info(self, node: str | None = None) -> dict:
        return self.get(f"/object_info/{node}" if node else "/object_info")

    def interrupt(self) -> None:
        self.post("/interrupt", {})

    def view(self, image: dict) -> bytes:
        """The file behind one entry of ``outputs[node]["images"]``."""
        query = urllib.parse.urlencode({key: image.get(key, "") for key in ("filename", "subfolder", "type")})
        return self.get_bytes(f"/view?{query}")

    def queue(
        self,
        prompt: dict,
        *,
        timeout: float = 300,
        on_message: Callable[[str, dict], None] | None = None,
        extra_data: dict | None = None,
    ) -> Result:
        """Queue an API-format prompt and wait for its end.

        Args:
            prompt: node id -> {"class_type", "inputs"}.
            timeout: seconds until TimeoutError (the prompt is interrupted first).
            on_message: called with every message's type and data; may call ``interrupt``.
            extra_data: for example {"extra_pnginfo": {"workflow": ...}}.
        """
        return asyncio.run(self._queue(prompt, timeout, on_message, extra_data or {}))

    async def _queue(self, prompt, timeout, on_message, extra_data) -> Result:
        import aiohttp

        client_id, result = uuid.uuid4().hex, Result()
        socket_url = self.url.replace("http", "ws", 1) + f"/ws?clientId={client_id}"
        async with aiohttp.ClientSession() as session, session.ws_connect(socket_url, max_msg_size=0) as socket:
            start = time.monotonic()
            data = {"prompt": prompt, "client_id": client_id, "extra_data": extra_data}
            status, answer = await asyncio.to_thread(self.post, "/prompt", data)
            result.node_errors = answer.get("node_errors") or {}
            if status != 200:
                result.status, result.error = "refused", {}
                if not result.node_errors:
                    result.error = {"exception_message": str(answer.get("error", answer))}
                return result
            while not result.status:
                try:
                    message = await socket.receive(timeout=max(0.01, start + timeout - time.monotonic()))
                except (TimeoutError, asyncio.TimeoutError):
                    await asyncio.to_thread(self.interrupt)
                    raise TimeoutError(f"no end after {timeout} s; ran {result.executed}") from None
                if message.type == aiohttp.WSMsgType.BINARY:
                    result.previews.append(message.data[8:])
                elif message.type == aiohttp.WSMsgType.TEXT:
                    event = json.loads(message.data)
                    record(result, event["type"], event.get("data") or {}, answer["prompt_id"])
                    if on_message is not None:
                        await asyncio.to_thread(on_message, event["type"], event.get("data") or {})
                else:
                    raise ConnectionError(f"the server closed the connection ({message.type})")
            result.seconds = time.monotonic() - start
        return result


def record(result: Result, kind: str, data: dict, prompt_id: str) -> None:
    """Note one message of the server in the result."""
    if data.get("prompt_id") not in (None, prompt_id):
        return
    if kind == "executing" and data.get("node"):
        result.executed.append(data["node"])
    elif kind == "executed":
        result.outputs[data["node"]] = data.get("output") or {}
    elif kind == "execution_cached":
        result.cached += data.get("nodes", [])
    elif kind == "progress":
        result.progress.append((data.get("node"), data["value"], data["max"]))
    elif kind in FINAL:
        result.status = kind.split("_", 1)[1]
        if kind == "execution_error":
            result.error = data
