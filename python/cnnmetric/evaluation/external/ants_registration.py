# SPDX-License-Identifier: Apache-2.0
"""Register two files with ANTsPy; not imported but run, see `methods/program.py`.

    python ants_registration.py FIXED MOVING KIND SEED PREFIX OUTPUT [INITIAL_TRANSFORM]

writes the displacement field OUTPUT and prints, as JSON, seconds and the transform to go on from.
"""

from __future__ import annotations

import json
import shutil
import sys
import time

import ants


def main(
    fixed_file: str, moving_file: str, kind: str, seed: str, prefix: str, output: str, initial: str
) -> None:
    """Do what the module says."""
    fixed, moving = ants.image_read(fixed_file), ants.image_read(moving_file)
    started = time.perf_counter()
    found = ants.registration(
        fixed,
        moving,
        kind,
        initial_transform=initial or None,
        outprefix=prefix,
        random_seed=int(seed),
    )
    seconds = time.perf_counter() - started
    transforms = found["fwdtransforms"]
    shutil.move(ants.apply_transforms(fixed, moving, transforms, compose=f"{prefix}all"), output)
    # The transforms apply from the last to the first.
    print(json.dumps({"seconds": seconds, "transform": transforms[-1]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
