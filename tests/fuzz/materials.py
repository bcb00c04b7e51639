# SPDX-License-Identifier: Apache-2.0
"""Write what cases are made of: models, and the saved result of a registration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from fuzz.processes import Tell
from fuzz.processes import in_child
from fuzz.trial import Materials


@contextmanager
def written() -> Iterator[Materials]:
    """Give the materials, which are removed afterwards."""
    with TemporaryDirectory(prefix="cnnmetric-fuzz-") as folder:
        materials = Materials(
            small=Path(folder) / "small.onnx",
            difference=Path(folder) / "difference.onnx",
            small_2d=Path(folder) / "flat.onnx",
            result=Path(folder) / "result",
        )

        def work(_: Tell) -> None:
            _write(materials)

        # In a process of its own, because PyTorch and ITK start threads, and threads forbid forks.
        list(in_child(work, Path(folder)))
        yield materials


def _write(materials: Materials) -> None:
    import cnnmetric
    from support.command import small_subject
    from support.command import write_quick_file
    from support.metric_images import write_difference_model
    from support.metric_images import write_small_model

    write_small_model(materials.small)
    write_small_model(materials.small_2d, dimension=2)
    write_difference_model(materials.difference)
    result = cnnmetric.register(
        small_subject(0.1),
        small_subject(0.15),
        model=materials.difference,
        parameters=write_quick_file(materials.result.parent),
        device="cpu",
        threads=1,
    )
    result.save(materials.result, report=False)
