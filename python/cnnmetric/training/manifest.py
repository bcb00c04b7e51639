# SPDX-License-Identifier: Apache-2.0
"""What a run is trained and validated on, in order, to tell whether another one is the same.

Batches depend on the order of sources and pairs, and so may what is held out; where the files lie
and what they are called changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnnmetric.errors import DataError
from cnnmetric.training.checkpoint import Progress
from cnnmetric.training.data.pairs import PairFiles
from cnnmetric.training.holdout import Split
from cnnmetric.training.settings import TrainingSettings


def manifest_of(chosen: Split, digests: Mapping[Path, str]) -> dict[str, Any]:
    """Return sources and held-out pairs as values for a checkpoint, files by their digests."""

    def listed(pairs: Sequence[PairFiles]) -> list[list[str]]:
        return [[digests[path] for path in pair.paths] for pair in pairs]

    return {
        "sources": [
            {
                "kind": item.kind,
                "weight": item.weight,
                "pairs": listed(item.pairs),
                "label maps": [digests[path] for path in item.label_maps],
            }
            for item in chosen.materials
        ],
        "held_out": listed(chosen.held_out),
    }


def check_same(
    settings: TrainingSettings,
    progress: Progress,
    manifest: dict[str, Any],
    named: Mapping[str, str],
) -> None:
    """See whether a run goes on with what it was begun with.

    Of a checkpoint without a manifest only the names and digests of the files are compared.

    Parameters
    ----------
    settings
        Of the run now.
    progress
        As read from its checkpoint.
    manifest, named
        As `manifest_of` returns it now, and the digests of all files by name.

    Raises
    ------
    DataError
        If anything differs, with what it is.
    """
    run = f"the run in {settings.checkpoint}"
    changed = _changed(progress, named)
    if changed:
        msg = (
            f"the images differ from those of {run} ({', '.join(sorted(changed))}); train without "
            "--resume"
        )
        raise DataError(msg)
    if progress.manifest is None:
        return
    found = list(_differences(progress.manifest, manifest))
    if found:
        msg = (
            f"this is not {run}: {'; '.join(found)}; give tables and --source as they were, or "
            "train without --resume"
        )
        raise DataError(msg)


def _changed(progress: Progress, named: Mapping[str, str]) -> set[str]:
    """Return the names of the files that only one side has."""
    before = progress.hashes
    if progress.manifest is None:
        return {name for name, _ in set(before.items()) ^ set(named.items())}
    only = set(before.values()) ^ set(named.values())
    return {name for side in (before, named) for name, digest in side.items() if digest in only}


def _differences(before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    """Yield in words what differs; of sources of other kinds nothing more is compared."""
    kinds, other = ([source["kind"] for source in side["sources"]] for side in (before, now))
    if kinds != other:
        yield f"the sources were {', '.join(kinds)} and are {', '.join(other)}"
        return
    for number, sides in enumerate(zip(before["sources"], now["sources"], strict=True), start=1):
        name = f"source {number} ({sides[0]['kind']})"
        first, second = (side["weight"] for side in sides)
        if first != second:
            yield f"the weight of {name} was {first:g} and is {second:g}"
        for what in ("pairs", "label maps"):
            yield from _reordered(f"the {what} of {name}", *(side[what] for side in sides))
    yield from _reordered("the held-out pairs", before["held_out"], now["held_out"])


def _reordered(name: str, before: list[Any], now: list[Any]) -> Iterator[str]:
    if before != now:
        how = "in another order" if sorted(before) == sorted(now) else "others"
        yield f"{name} are {how}"
