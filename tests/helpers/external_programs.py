"""Programs and a service that measure texts, honest and otherwise, for oracles outside."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HEAD = """\
#!/usr/bin/env python3
import json, os, random, sys, time
asked = json.load(sys.stdin)
assert asked["protocol"] == "heuresis-oracle/1"
def one(candidate):
    text = candidate["text"]
    if " " in text:
        return {"failure": {"cause": "setup", "message": "a blank"}}
    return {"values": {"length": len(text), "seed": asked["seed"] % 1000}}
"""
TAIL = """
print(json.dumps({"results": [one(candidate) for candidate in asked["candidates"]]}))
"""
HONEST = ""
"""Nothing between head and tail."""
CONFIG: dict[str, Any] = {
    "outputs": {
        "length": {"unit": "1", "description": "characters"},
        "seed": {"unit": "1", "description": "seed modulo 1000"},
    },
    "reference": "none",
    "timeout_s": 60.0,
}


def write_program(folder: Path, misdeed: str = HONEST, name: str = "measure.py") -> Path:
    """Write an executable that measures texts, with a misdeed between head and tail."""
    program = folder / name
    program.write_text(HEAD + misdeed + TAIL)
    program.chmod(0o755)
    return program


def honest(request: dict[str, Any]) -> dict[str, Any]:
    """Answer as the honest program does."""
    return {
        "results": [
            {"failure": {"cause": "setup", "message": "a blank"}}
            if " " in candidate["text"]
            else {"values": {"length": len(candidate["text"]), "seed": request["seed"] % 1000}}
            for candidate in request["candidates"]
        ]
    }


Answer = Callable[[dict[str, Any]], tuple[int, bytes, dict[str, str]]]


def answering(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> Answer:
    """Return a handler that answers 200 with JSON."""
    return lambda request: (200, json.dumps(answer(request)).encode(), {})


@contextmanager
def service(answer: Answer) -> Iterator[str]:
    """Serve POST requests on this machine; yields the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, said, headers = answer(json.loads(body))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            with suppress(BrokenPipeError):  # whoever asked has lost patience
                self.wfile.write(said)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/measure"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
