"""Oracle ``http``: a service measures; one POST of JSON per call.

The exchange is described in `heuresis_oracles.external.exchange`. No redirect is followed and no
proxy used, so nobody is asked who was not named.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, field_validator

from heuresis.records import Candidate, Failure, FailureCause, OracleDeclaration, Outcome
from heuresis_oracles.external.exchange import (
    LARGEST_ANSWER_BYTES,
    ExternalConfig,
    declaration,
    request,
    understood,
)
from heuresis_oracles.external.permissions import require_permitted_host

_PASSING = {
    429: "it has too much to do",
    502: "its gateway cannot reach it",
    503: "it is not ready",
    504: "its gateway lost patience",
}
"""Statuses that may be another tomorrow; all others are answers."""
_EXCERPT = 300


class HTTPService:
    """Numbers from a service of yours: one POST of JSON per call."""

    class Config(ExternalConfig):
        """Which service, and what it gives."""

        url: str = Field(
            description="where to POST; a host other than this machine must be named in"
            " HEURESIS_ORACLE_HOSTS",
            examples=["http://127.0.0.1:8000/measure"],
        )
        retries: int = Field(
            2, ge=0, le=20, description="how often a service that cannot be reached is asked again"
        )
        retry_wait_s: float = Field(
            1.0, ge=0, le=600, description="before the first retry; doubled each time"
        )

        @field_validator("url")
        @classmethod
        def _plain(cls, url: str) -> str:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError(
                    f"expected a URL such as http://127.0.0.1:8000/measure, got '{url}'"
                )
            if parts.username or parts.password or parts.fragment:
                raise ValueError("a URL with a user, password or fragment is not taken")
            if parts.port == 0:
                raise ValueError("port 0 is no port")
            return url

    @classmethod
    def declare(cls, config: Config) -> OracleDeclaration:
        """Say what is measured, as the settings say."""
        return declaration("http", config, f"1+{config.version}")

    @classmethod
    def check_space(cls, config: Config, space: Any) -> None:  # noqa: ARG003 - contract
        """Refuse a host that this machine does not allow.

        Raises:
            UserError: says what to do.
        """
        require_permitted_host(str(urlsplit(config.url).hostname))

    def __init__(self, config: Config) -> None:
        self.config = config
        self._url = urlsplit(config.url)
        require_permitted_host(str(self._url.hostname))

    def evaluate(
        self,
        candidates: Sequence[Candidate],
        *,
        seed: int,
        workdir: Path,
    ) -> list[Outcome]:
        """Ask the service about all candidates with one request.

        If it breaks on several together it is asked about one by one, so that it costs one.
        """
        if not candidates:
            return []
        answer = self._answer(request(candidates, seed, self.config), len(candidates))
        if isinstance(answer, bytes):
            return understood(answer, len(candidates), self.config)
        if len(candidates) == 1 or answer.cause is FailureCause.LOST:
            return [answer for _ in candidates]
        return [self.evaluate([one], seed=seed, workdir=workdir)[0] for one in candidates]

    def _answer(self, body: bytes, candidates: int) -> bytes | Failure:
        """Return what the service answers; only what may be another next time is asked again."""
        wait_s = self.config.retry_wait_s
        answer = _posted(self._url, body, self.config.timeout_s * candidates)
        for _ in range(self.config.retries):
            if isinstance(answer, bytes) or answer.cause is not FailureCause.LOST:
                break
            time.sleep(wait_s)
            wait_s *= 2.0
            answer = _posted(self._url, body, self.config.timeout_s * candidates)
        return answer


def _posted(url: SplitResult, body: bytes, limit_s: float) -> bytes | Failure:
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(str(url.hostname), url.port, timeout=limit_s)
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    where = f"{url.hostname}:{connection.port}"
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = response.read(LARGEST_ANSWER_BYTES + 1)
    except TimeoutError:
        return Failure(
            cause=FailureCause.TIMEOUT, message=f"{where} took longer than {limit_s:g} s"
        )
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return Failure(cause=FailureCause.LOST, message=f"{where} cannot be reached: {why}")
    finally:
        connection.close()
    return _judged(response.status, answer, where)


def _judged(status: int, answer: bytes, where: str) -> bytes | Failure:
    if status == http.client.OK:
        if len(answer) > LARGEST_ANSWER_BYTES:
            return Failure(
                cause=FailureCause.CONTRACT,
                message=f"{where} sent more than {LARGEST_ANSWER_BYTES} bytes",
            )
        return answer
    said = " ".join(answer[:_EXCERPT].decode(errors="replace").split())
    tail = f": {said}" if said else ""
    if status in _PASSING:
        return Failure(
            cause=FailureCause.LOST,
            message=f"{where} answers {status}, {_PASSING[status]}{tail}",
        )
    cause = FailureCause.CALCULATION if status >= 500 else FailureCause.SETUP
    return Failure(cause=cause, message=f"{where} answers {status}{tail}")
