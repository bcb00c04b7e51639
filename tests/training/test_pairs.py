# SPDX-License-Identifier: Apache-2.0
"""From a table to aligned pairs."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cnnmetric.errors import DataError
from cnnmetric.metric.modalities import ANY
from cnnmetric.training.data.aligned_pair import AlignedPair
from cnnmetric.training.data.pairs import PairFiles
from cnnmetric.training.data.pairs import load_pair
from cnnmetric.training.data.pairs import read_pairs
from cnnmetric.training.data.pairs import sha256
from cnnmetric.training.loop import train
from support.training_images import blobs
from support.training_images import hashes
from support.training_images import settings
from support.training_images import write_image
from support.training_images import write_pairs
from support.training_images import write_series

BOTH = ("T1", "T2")
PLAIN = {"lower_quantile": 0.0, "upper_quantile": 1.0}


def load(folder: Path, first: Path, second: Path, **changes: object) -> AlignedPair:
    files = PairFiles(names=(first.name, second.name), paths=(first, second))
    return load_pair(files, settings(folder, **(PLAIN | changes)))


def test_table_gives_files_and_skips_rows_without_a_modality(tmp_path: Path) -> None:
    table = write_pairs(tmp_path)
    table.write_text(table.read_text(encoding="utf-8") + "s9,only_T1.nii.gz,\n")
    pairs = read_pairs(table, BOTH)
    assert [pair.names for pair in pairs] == [
        ("0_T1.nii.gz", "0_T2.nii.gz"),
        ("1_T1.nii.gz", "1_T2.nii.gz"),
    ]
    expected = hashlib.sha256((tmp_path / "1_T2.nii.gz").read_bytes()).hexdigest()
    assert hashes(pairs)[tmp_path / "1_T2.nii.gz"] == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("T1\na.nii\n", "single column"),
        ("", r"single column \(empty\)"),
        ("T1,FLAIR\na.nii,b.nii\n", "has no column T2; its columns are T1, FLAIR"),
        ("T1,T2\na.nii,\n", "has no row with both T1 and T2"),
        ("T1,T2\na.nii,b.nii\n", r"do not exist: .*a\.nii, .*b\.nii"),
    ],
)
def test_unusable_tables(tmp_path: Path, content: str, message: str) -> None:
    table = tmp_path / "pairs.csv"
    table.write_text(content)
    with pytest.raises(DataError, match=message):
        read_pairs(table, BOTH)


def test_missing_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read the table of pairs .*absent\.csv"):
        read_pairs(tmp_path / "absent.csv", BOTH)


def test_same_grid_is_normalised_and_kept(tmp_path: Path) -> None:
    array = blobs((6, 7, 8))
    first = write_image(tmp_path / "a.nii", array, spacing=(2, 2, 2))
    second = write_image(tmp_path / "b.nii", -array, spacing=(2, 2, 2))
    pair = load(tmp_path, first, second)
    assert pair.images.shape == (2, 6, 7, 8)
    assert pair.spacing == pytest.approx(2)
    torch.testing.assert_close(pair.images[0], 1 - pair.images[1], atol=1e-6, rtol=0)


def test_orientation_comes_from_the_header(tmp_path: Path) -> None:
    array = blobs((6, 7, 8))
    spacing, origin = (1.0, 1.0, 1.0), (10.0, 20.0, 30.0)
    first = write_image(tmp_path / "a.nii", array, spacing=spacing, origin=origin)
    # The same image stored from right to left and with its second and third axis exchanged.
    stored = np.ascontiguousarray(array[:, :, ::-1].swapaxes(0, 1))
    direction = np.array([[-1.0, 0, 0], [0, 0, 1], [0, 1, 0]])
    second = write_image(
        tmp_path / "b.nii", stored, spacing=spacing, origin=(17, 20, 30), direction=direction
    )
    pair = load(tmp_path, first, second)
    torch.testing.assert_close(pair.images[0], pair.images[1], atol=1e-5, rtol=0)


def test_second_image_is_resampled_on_the_first_and_marked_outside_its_view(
    tmp_path: Path,
) -> None:
    first = write_image(tmp_path / "a.nii", blobs((6, 7, 8)), spacing=(2, 2, 2))
    ramp = np.broadcast_to(np.arange(9, dtype=np.float32), (13, 14, 9))
    second = write_image(tmp_path / "b.nii", np.ascontiguousarray(ramp), spacing=(1, 1, 1))
    pair = load(tmp_path, first, second)
    row = pair.images[1, 2, 3]
    np.testing.assert_allclose(row[:5], np.arange(0, 9, 2) / 8, atol=1e-6)
    assert torch.isnan(row[5:]).all()
    assert torch.isfinite(pair.images[0]).all()


def test_anisotropic_voxels_become_cubes(tmp_path: Path) -> None:
    first = write_image(tmp_path / "a.nii", blobs((5, 9, 9)), spacing=(1, 1, 2))
    second = write_image(tmp_path / "b.nii", blobs((5, 9, 9)), spacing=(1, 1, 2))
    pair = load(tmp_path, first, second)
    assert pair.images.shape == (2, 9, 9, 9)
    assert pair.spacing == pytest.approx(1)
    torch.testing.assert_close(pair.images[0], pair.images[1])


def test_nearly_cubic_voxels_are_left_alone(tmp_path: Path) -> None:
    first = write_image(tmp_path / "a.nii", blobs((5, 6, 7)), spacing=(1, 1, 1.009))
    second = write_image(tmp_path / "b.nii", blobs((5, 6, 7)), spacing=(1, 1, 1.009))
    assert load(tmp_path, first, second).images.shape == (2, 5, 6, 7)


@pytest.mark.parametrize("name", ["a.mhd", "a.nhdr", "a.hdr", "a.img"])
def test_images_in_two_files_are_told_apart_by_their_voxels(tmp_path: Path, name: str) -> None:
    """Programs write other voxels beside a header that stays the same."""
    found = []
    for seed in range(2):
        image = write_image(tmp_path / name, blobs((5, 6, 7), seed=seed))
        found.append(sha256(image))
    assert len(set(found)) == 2
    assert sha256(image) == found[1]


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a.mhd", "NDims = 3\nElementDataFile = LIST\n1.raw\n2.raw\n"),
        ("a.mhd", "NDims = 3\nElementDataFile = %d.raw 1 2 1\n"),
        ("a.nhdr", "NRRD0004\ndata file: ./%1d.raw 1 2 1 2\n"),
        ("a.nhdr", "NRRD0004\ndatafile: LIST 2\n1.raw\n2.raw\n"),
    ],
)
def test_voxels_in_several_files_count(tmp_path: Path, name: str, header: str) -> None:
    (tmp_path / name).write_text(header)
    found = set()
    for content in ("one", "two"):
        for number in (1, 2):
            (tmp_path / f"{number}.raw").write_text(content)
            found.add(sha256(tmp_path / name))
    assert len(found) == 4


def test_crop_keeps_content_and_margin_of_both(tmp_path: Path) -> None:
    images = np.zeros((2, 20, 20, 20), np.float32)
    images[0, 8:10, 5:15, 10] = 1
    images[1, 9:12, 5:15, 10] = 1
    paths = [
        write_image(tmp_path / f"{name}.nii", array)
        for name, array in zip("ab", images, strict=True)
    ]
    pair = load(tmp_path, *paths, crop_margin=6)
    assert pair.images.shape == (2, 16, 20, 13)


def test_different_sizes_without_headers_cannot_be_aligned(tmp_path: Path) -> None:
    first = write_image(tmp_path / "a.mha", blobs((6, 7, 8)))
    second = write_image(tmp_path / "b.mha", blobs((6, 7, 9)))
    with pytest.raises(DataError, match=r"8 x 7 x 6 voxels and .* 9 x 7 x 6.*neither has a header"):
        load(tmp_path, first, second)


def test_images_that_do_not_overlap(tmp_path: Path) -> None:
    first = write_image(tmp_path / "a.nii", blobs((6, 7, 8)))
    second = write_image(tmp_path / "b.nii", blobs((6, 7, 8)), origin=(100, 0, 0))
    with pytest.raises(DataError, match="hardly overlap"):
        load(tmp_path, first, second)


def test_file_that_is_no_image(tmp_path: Path) -> None:
    first = write_image(tmp_path / "a.nii", blobs((6, 7, 8)))
    second = tmp_path / "b.nii"
    second.write_text("not an image")
    with pytest.raises(DataError, match=r"b\.nii.*cannot be read as an image"):
        load(tmp_path, first, second)


def test_image_of_another_dimension(tmp_path: Path) -> None:
    first = write_image(tmp_path / "a.nii", blobs((7, 8)))
    with pytest.raises(DataError, match=r"a\.nii is 2-dimensional, but --dimension is 3"):
        load(tmp_path, first, first)


def test_image_with_nan(tmp_path: Path) -> None:
    array = blobs((6, 7, 8))
    array[1, 2, 3] = np.nan
    first = write_image(tmp_path / "a.mha", array)
    with pytest.raises(DataError, match=r"a\.mha has NaN"):
        load(tmp_path, first, first)


def write_ixi(folder: Path) -> None:
    """Write three subjects as IXI's archives hold them, T1 and T2 on grids of their own."""
    for modality, shape, spacing in (("T1", (12, 13, 14), 1.5), ("T2", (16, 17, 18), 1.2)):
        place = folder / f"IXI-{modality}"
        place.mkdir(parents=True)
        for subject in ("IXI012-HH-1211", "IXI002-Guys-0828", "IXI580-IOP-1157"):
            if (subject, modality) != ("IXI580-IOP-1157", "T2"):
                name = f"{subject}-{modality}.nii.gz"
                write_image(place / name, blobs(shape), spacing=[spacing] * 3)
    (folder / "IXI-T1" / "IXI.xls").write_text("not an image")


def test_the_folder_of_ixi_needs_no_table(tmp_path: Path) -> None:
    write_ixi(tmp_path / "ixi")
    pairs = read_pairs(tmp_path / "ixi", BOTH)
    assert [pair.names for pair in pairs] == [
        (f"{subject}-T1.nii.gz", f"{subject}-T2.nii.gz")
        for subject in ("IXI002-Guys-0828", "IXI012-HH-1211")
    ]
    assert pairs[0].paths[1].parent.name == "IXI-T2"
    progress = train(
        settings(tmp_path, pairs=tmp_path / "ixi", training_pairs=1, validation_batches=1, steps=2)
    )
    assert set(progress.hashes) == {name for pair in pairs for name in pair.names}
    assert len(progress.validations) == 1


def test_any_two_images_of_a_subject_of_ixi_are_a_pair(tmp_path: Path) -> None:
    write_ixi(tmp_path)
    name = "IXI012-HH-1211"
    write_image(tmp_path / f"{name}-PD.nii.gz", blobs((12, 13, 14)), spacing=[1.5] * 3)
    pairs = read_pairs(tmp_path, (ANY, ANY))
    assert [pair.names for pair in pairs if pair.subject == name] == [
        (f"{name}-{one}.nii.gz", f"{name}-{other}.nii.gz")
        for one, other in (("PD", "T1"), ("PD", "T2"), ("T1", "T2"))
    ]
    assert len(pairs) == 4
    with pytest.raises(DataError, match=r"has no subject with two images in files named like"):
        read_pairs(tmp_path / "IXI-T1", (ANY, ANY))


@pytest.mark.parametrize(
    ("modalities", "message"),
    [
        (("T1", "MRA"), r"no subject with T1 and MRA .*\(T1, T2 found\); give the folder"),
        (("PD", "T2"), r"no subject with PD and T2"),
    ],
)
def test_a_folder_without_these_modalities(
    tmp_path: Path, modalities: tuple[str, ...], message: str
) -> None:
    write_ixi(tmp_path)
    with pytest.raises(DataError, match=message):
        read_pairs(tmp_path, modalities)


def test_a_folder_that_is_not_ixi(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    with pytest.raises(DataError, match=r"IXI002-Guys-0828-T1.nii.gz \(no such file found\)"):
        read_pairs(tmp_path, BOTH)


def test_dicom_series_are_folders(tmp_path: Path) -> None:
    array = np.round(blobs((12, 13, 14)))
    geometry: dict[str, Any] = {"spacing": (1.5, 1.5, 1.5), "origin": (10.0, -5.0, 3.0)}
    first = write_series(tmp_path / "T1", array, **geometry)
    second = write_image(tmp_path / "T2.nrrd", -array, **geometry)
    pair = load(tmp_path, first, second)
    assert pair.spacing == pytest.approx(1.5)
    torch.testing.assert_close(pair.images[0], 1 - pair.images[1], atol=1e-6, rtol=0)
    (tmp_path / "pairs.csv").write_text("subject,T1,T2\na,T1,T2.nrrd\n")
    (files,) = read_pairs(tmp_path / "pairs.csv", BOTH)
    before = hashes([files])
    next(first.iterdir()).unlink()
    after = hashes([files])
    assert before[tmp_path / "T2.nrrd"] == after[tmp_path / "T2.nrrd"]
    assert before[first] != after[first]


def test_folders_without_one_series(tmp_path: Path) -> None:
    other = write_image(tmp_path / "T2.mha", blobs((12, 13, 14)), spacing=(1.5, 1.5, 1.5))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty holds no DICOM series; name an image file"):
        load(tmp_path, tmp_path / "empty", other)
    for uid in ("1.2.3.4", "1.2.3.5"):
        folder = write_series(tmp_path / "T1", blobs((12, 13, 14)), spacing=[1.5] * 3, uid=uid)
    with pytest.raises(DataError, match="T1 holds 2 DICOM series, of which one is meant"):
        load(tmp_path, folder, other)


def test_a_series_of_several_is_named_in_the_table(tmp_path: Path) -> None:
    for uid, sign in (("1.2.3.4", 1), ("1.2.3.5", -1)):
        array = sign * np.round(blobs((12, 13, 14)))
        write_series(tmp_path / "scan", array, spacing=[1.5] * 3, uid=uid)
    (tmp_path / "pairs.csv").write_text("subject,T1,T2\na,scan#1.2.3.4,scan#1.2.3.5\n")
    (files,) = read_pairs(tmp_path / "pairs.csv", BOTH)
    pair = load_pair(files, settings(tmp_path, **PLAIN))
    torch.testing.assert_close(pair.images[0], 1 - pair.images[1], atol=1e-6, rtol=0)
    assert len(set(hashes([files]).values())) == 2  # or the cache would take one for the other
    (tmp_path / "pairs.csv").write_text("subject,T1,T2\na,none#1.2,scan#1.2.3.5\n")
    with pytest.raises(DataError, match=r"names files that do not exist: \S*none#1\.2; correct"):
        read_pairs(tmp_path / "pairs.csv", BOTH)


def test_a_series_without_one_of_its_slices_is_not_trained_on(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "T1", blobs((12, 13, 14)), spacing=[1.5] * 3)
    sorted(folder.iterdir())[5].unlink()
    with pytest.raises(DataError, match=r"slices of \S*T1 are not evenly spaced.*is a file miss"):
        load(tmp_path, folder, folder)
