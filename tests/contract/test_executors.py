"""The same promises, kept by every executor we ship."""

from collections.abc import Iterator

import pytest

from heuresis.execution.inline import InlineExecutor
from heuresis.execution.local import LocalExecutor
from heuresis.execution.ray_pool import RayExecutor
from heuresis.ports import Executor
from heuresis.testing.executor_contract import ExecutorContract
from heuresis.testing.fakes import PLUGINS


@pytest.fixture(scope="module")
def ray_session() -> Iterator[RayExecutor]:
    session = RayExecutor(dashboard=False)
    session.start([])
    yield session
    session.close()


class TestInline(ExecutorContract):
    def make_executor(self) -> Executor:
        return InlineExecutor(plugins=PLUGINS)


class TestLocal(ExecutorContract):
    def make_executor(self) -> Executor:
        return LocalExecutor(plugins=PLUGINS)


@pytest.mark.usefixtures("ray_session")
class TestRay(ExecutorContract):
    def make_executor(self) -> Executor:
        return RayExecutor(plugins=PLUGINS, namespace="contract")
