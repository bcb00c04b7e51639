# SPDX-License-Identifier: Apache-2.0
"""The interpreter ends in order while other threads evaluate."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.scripts import run_script

ALL = """
network = cnnmetric.DissimilarityNetwork(model, device="cpu", number_of_threads=1)
on_images = cnnmetric.MetricOnImages(*images, model=model, device="cpu")
itkv4 = cnnmetric.CNNImageToImageMetricv4(model=model, device="cpu")
works = [
    lambda: network(*arrays),
    lambda: on_images.value([0.0] * 3),
    lambda: itkv4.value(*images, itk.TranslationTransform[itk.D, 3].New()),
]
"""
ELASTIX = """
from support.elastix_runs import parameters, register
def work():
    with cnnmetric.on_iteration(lambda iteration: sum(range(10_000))):
        register(*images, parameters(model, MaximumNumberOfIterations="3"))
works = [work]
"""


@pytest.mark.parametrize(
    "works", [pytest.param(ALL, marks=pytest.mark.slow), ELASTIX], ids=["metrics", "elastix"]
)
def test_daemon_threads_do_not_abort_the_end(works: str, small_model: Path) -> None:
    script = f"""
import atexit, sys, threading, time
def late():  # after what the package does at the end: the main thread may still evaluate
    late_network = cnnmetric.DissimilarityNetwork(model, device="cpu", number_of_threads=1)
    print("end", late_network(*arrays).size, flush=True)
atexit.register(late)
import itk, numpy as np, cnnmetric
from pathlib import Path
model = Path(sys.argv[1])
arrays = np.random.default_rng(0).random((2, 33, 33, 33)).astype(np.float32)
images = [itk.image_from_array(array) for array in arrays]
{works}
def for_ever(work, started):
    while True:
        work()
        started.set()
for work in works:
    started = threading.Event()
    threading.Thread(target=for_ever, args=(work, started), daemon=True).start()
    assert started.wait(60)
time.sleep(0.2)
"""
    run = run_script(script, small_model)
    assert (run.returncode, run.stdout.splitlines()[-1:]) == (0, ["end 125"]), run.stderr
