"""What tests share."""

from __future__ import annotations

import pytest


@pytest.fixture
def one_thread():
    """Without it, small operations of torch wait for one another a hundred times as long."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
