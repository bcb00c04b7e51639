# SPDX-License-Identifier: Apache-2.0
"""`CNNMetricProfile` says in the log where the time of every resolution went."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from cnnmetric.errors import MetricError
from support.elastix_cases import images
from support.elastix_runs import log_of
from support.elastix_runs import parameters

PARTS = ("warp", "network", "Jacobian", "rest of the metric", "outside, elapsed time")


def log(model: Path, folder: Path, profile: str | list[str], **changes: Any) -> str:
    settings: dict[str, Any] = {
        "NumberOfResolutions": "2",
        "CNNMetricGridSpacing": "2.0",
        "CNNMetricNumberOfBlocks": "2",
        "CNNMetricBlockSize": "21",
        "CNNMetricProfile": profile,
        "MaximumNumberOfIterations": "3",
        "Optimizer": "RegularStepGradientDescent",
        "MaximumStepLength": "0.5",
    }
    changed = parameters(model, **settings | changes)
    return log_of(*images("float 3D"), changed, folder, number_of_threads=1)


def test_every_part_has_its_time(small_model: Path, tmp_path: Path) -> None:
    text = log(small_model, tmp_path, "true")
    tables = text.split("CNNMetric profile, resolution ")[1:]
    assert [table[0] for table in tables] == ["0", "1"]
    for table in tables:
        head = re.match(r"\d: (\d+) evaluations of (\d+) voxels, threads: 1, ([\d.]+) s", table)
        assert head is not None
        evaluations, voxels, seconds = (float(number) for number in head.groups())
        assert evaluations >= 3
        assert voxels == 2 * 21**3
        spent = {}
        for part in PARTS:
            row = re.search(rf"^  {part} +([\d.]+) +(\d+)$", table, re.MULTILINE)
            assert row is not None, part
            spent[part] = float(row[1])
            per_voxel = 1e9 * spent[part] / (evaluations * voxels)
            assert float(row[2]) == pytest.approx(per_voxel, abs=0.6e6 / (evaluations * voxels) + 1)
        assert min(spent["warp"], spent["network"]) > 0
        assert sum(spent.values()) == pytest.approx(seconds, abs=0.06)


def test_fewer_blocks_than_threads(small_model: Path, tmp_path: Path) -> None:
    text = log(
        small_model,
        tmp_path,
        "true",
        NumberOfResolutions="1",
        CNNMetricNumberOfThreads="4",
        CNNMetricNumberOfBlocks="1",
        CNNMetricGridSpacing="1.0",
        CNNMetricBlockSize="33",
        MaximumNumberOfIterations="150",
        MaximumStepLength="0.01",
        MinimumStepLength="1e-9",
    )
    table = text.split("CNNMetric profile, resolution ")[1]
    head = re.search(r"voxels, threads: 4, ([\d.]+) s", table)
    assert head is not None
    rows = [re.search(rf"^  {part} +([\d.]+) ", table, re.MULTILINE) for part in PARTS]
    spent = [float(row[1]) for row in rows if row is not None]
    assert len(spent) == len(PARTS)
    assert sum(spent[:-1]) > 0.1  # of which a fourth would not pass below
    # One thread of the four has run.
    assert sum(spent) == pytest.approx(float(head[1]), abs=0.06)


def test_of_one_resolution_only(small_model: Path, tmp_path: Path) -> None:
    text = log(small_model, tmp_path, ["false", "true"])
    assert text.count("CNNMetric profile, ") == 1
    assert "CNNMetric profile, resolution 1:" in text


def test_another_word_is_refused(small_model: Path, tmp_path: Path) -> None:
    with pytest.raises(
        MetricError, match='CNNMetricProfile is "yes" but must be "true" or "false"'
    ):
        log(small_model, tmp_path, "yes")
