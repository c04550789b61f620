"""A server on the loopback address that answers as an OpenAI-compatible endpoint does."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

#: Tokens of each complete answer.
USAGE = {"prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150}


def answer(text: str | None, usage: Any = USAGE) -> bytes:
    """Return the body of an answer with a content."""
    message = {"role": "assistant", "content": text}
    return json.dumps({"choices": [{"message": message}], "usage": usage}).encode()


#: HTTP status, headers and body.
Reply = tuple[int, dict[str, str], bytes]
REPLIES: dict[str, Reply] = {
    "fenced": (200, {}, answer('Sure!\n```json\n{"formula": "x*tanh(x)"}\n```\nEnjoy.')),
    "bad": (200, {}, answer('{"formula": "frob(x)"}\n{"formula": "x*erf(x)"}')),
    "prose": (200, {}, answer("I am sorry, I cannot do that.")),
    "truncated": (200, {}, answer("x*tanh(x)")[:40]),
    "no content": (200, {}, answer(None)),
    "no usage": (200, {}, answer("x*tanh(x)", None)),
    "busy": (429, {"Retry-After": "0.05"}, b'{"error": {"message": "slow down"}}'),
    "busy for long": (429, {"Retry-After": "3600"}, b'{"error": {"message": "slow down"}}'),
    "broken": (500, {}, b"<html>oops</html>"),
    "unknown": (404, {}, b'{"error": {"message": "no model of\\u0020that name"}}'),
    "moved": (302, {"Location": "http://127.0.0.1:9/"}, b""),
}


class FakeModel:
    """Gives the replies in turn, by name or as such, then always new formulas.

    Attributes:
        url: The base URL.
        requests: Header and body of each request.
    """

    def __init__(self, replies: Sequence[str | Reply]) -> None:
        self._replies, self._numbers = list(replies), count(1)
        self.requests: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.url = ""

    def reply(self, headers: dict[str, str], body: bytes) -> Reply:
        self.requests.append((headers, json.loads(body)))
        name = self._replies.pop(0) if self._replies else "good"
        if isinstance(name, tuple):
            return name
        if name == "repeats the key":
            key = headers["Authorization"].removeprefix("Bearer ")
            return 401, {}, json.dumps({"error": {"message": f"wrong key {key}"}}).encode()
        return (200, {}, answer(self._lines())) if name == "good" else REPLIES[name]

    def _lines(self) -> str:
        numbers = [next(self._numbers) for _ in range(3)]
        return "\n".join(json.dumps({"formula": f"gelu(x) + 0.{n}*sin(x)"}) for n in numbers)


@contextlib.contextmanager
def fake_model(*replies: str | Reply) -> Iterator[FakeModel]:
    """Start the server in a thread, on a free port."""
    model = FakeModel(replies)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/chat/completions"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, headers, data = model.reply(dict(self.headers), body)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: object) -> None:
            return None

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        model.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield model
        finally:
            server.shutdown()
            thread.join()
