# SPDX-License-Identifier: Apache-2.0
"""What several test modules share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests on real images where there are none."""
    if item.get_closest_marker("data") and not os.environ.get("CNNMETRIC_DATA"):
        pytest.skip(
            "needs real images, which may not be passed on with the project: set CNNMETRIC_DATA to "
            "a folder with the ALBERTs (docs/research/reproduce.md)"
        )


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Return the folder of real images; for tests marked `data`."""
    folder = Path(os.environ["CNNMETRIC_DATA"])
    assert folder.is_dir(), f"CNNMETRIC_DATA={folder} is no folder"
    return folder


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Let SIGINT raise KeyboardInterrupt, here and in processes that a test starts.

    Shells have it ignored in the background, and so have parallel tests.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a 3D model with few channels and untrained weights."""
    # Imported here: most tests need neither torch nor the plugin.
    from support.metric_images import write_small_model

    return write_small_model(tmp_path_factory.mktemp("models") / "small.onnx")


@pytest.fixture(scope="session")
def difference_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a 3D model that is an absolute difference; see support/metric_images.py."""
    from support.metric_images import write_difference_model

    return write_difference_model(tmp_path_factory.mktemp("models") / "difference.onnx")
