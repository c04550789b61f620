"""What tests share."""

from __future__ import annotations

import gc
import multiprocessing
import os
from multiprocessing import forkserver
from pathlib import Path

import pytest
from hypothesis import settings
from profiles import PROFILE

settings.load_profile(PROFILE)
gc.disable()  # what the collection of tests makes is kept anyway


def pytest_collection_finish() -> None:
    """Let the garbage collector work again, but not on the tests themselves."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that have slow tests: one of them at the end keeps one core waiting."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture
def one_thread():
    """Without it, small operations of torch wait for one another a hundred times as long."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def server():
    """Processes that are forked from one that has searched before: they begin to work at once."""
    context = multiprocessing.get_context("forkserver")
    with pytest.MonkeyPatch.context() as patch:
        # The server imports by this alone; what it was told of sys.path it does not look at.
        paths = [os.fspath(Path(__file__).parent / "support"), os.environ.get("PYTHONPATH", "")]
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        context.set_forkserver_preload(["crash_server"])
        forkserver.ensure_running()
    return context
