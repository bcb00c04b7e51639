# SPDX-License-Identifier: Apache-2.0
"""Run commands of Greedy; not imported but run, see `methods/program.py`.

    python greedy_commands.py COMMAND ...

prints the seconds that the first of them took, as JSON.
"""

from __future__ import annotations

import json
import sys
import time

from picsl_greedy import Greedy3D


def main(*commands: str) -> None:
    """Do what the module says."""
    seconds = []
    for command in commands:
        started = time.perf_counter()
        Greedy3D().execute(command)
        seconds.append(time.perf_counter() - started)
    print(json.dumps({"seconds": seconds[0]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
