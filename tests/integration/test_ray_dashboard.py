"""A local Ray session as a user meets it: quiet, on loopback, behind a token."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SESSION = """
import json, os, socket, sys, time, urllib.error, urllib.request
from pathlib import Path
from heuresis.execution.ray_pool import RayExecutor
from heuresis.testing.executor_contract import *
from heuresis.testing.fakes import PLUGINS

def status(path, token=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(executor.dashboard_url + path, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""

blocker = socket.socket()
if "taken" in sys.argv:
    # A port that a session has just left is free, too.
    blocker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        blocker.bind(("127.0.0.1", 8265))
        blocker.listen()
    except OSError:
        pass  # by another session on this machine: as good
executor = RayExecutor(plugins=PLUGINS, namespace="blue")
began = time.monotonic()
executor.start([oracle_pool("xtb", workers=2), proposer_pool()])
settle_all(executor, [evaluate("a", "kill:9", pool="xtb"), propose("b")])
first_s = time.monotonic() - began
token = (Path.home() / ".ray" / "auth_token").read_text()
actors = json.loads(status("/logical/actors", token)[1])["data"]["actors"].values()
listeners = set()
for table, loopback in (("tcp", "0100007F"), ("tcp6", "0000000000000000FFFF00000100007F")):
    for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A":
            listeners.add((fields[9], fields[1].startswith(loopback)))
ours = set()
for process in Path("/proc").glob("[0-9]*"):
    try:
        if os.getsid(int(process.name)) == os.getsid(0):
            ours |= {os.readlink(handle)[8:-1] for handle in (process / "fd").iterdir()}
    except OSError:
        continue
result = {
    "page": status("/")[0],
    "without token": status("/api/jobs/")[0],
    "with token": status("/api/jobs/", token)[0],
    "names": sorted(actor["name"] for actor in actors),
    "advice": executor.dashboard_advice,
    "listening": sum(inode in ours for inode, _ in listeners),
    "beyond loopback": sum(inode in ours and not inside for inode, inside in listeners),
    "first_s": first_s,
}
executor.close()
print(json.dumps(result))
"""


@pytest.mark.slow
@pytest.mark.parametrize("taken", [False, True], ids=["free", "taken"])
def test_a_session_is_quiet_local_and_locked(taken: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SESSION, "taken" if taken else "free"],
        capture_output=True,
        text=True,
        timeout=200,
        start_new_session=True,
        check=True,
    )
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1, "nothing but our own line"
    result = json.loads(done.stdout)
    assert (result["page"], result["without token"], result["with token"]) == (200, 401, 200)
    assert result["names"] == ["proposer:words", "xtb[1]", "xtb[2]"]
    assert result["listening"] > 5
    assert result["beyond loopback"] == 0
    moved = not result["advice"].startswith("http://127.0.0.1:8265;")
    assert ("(port 8265 was taken)" in result["advice"]) is moved
    assert moved or not taken
    assert "get-auth-token" in result["advice"]
