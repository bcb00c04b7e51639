# SPDX-License-Identifier: Apache-2.0
"""What ``cnnmetric register --table`` does; a part of that subcommand."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any

from cnnmetric.errors import RegistrationError

if TYPE_CHECKING:  # which loads ITK
    from cnnmetric.registration.cohort.run import Cohort


def run_table(
    table: Path, out: Path, options: Mapping[str, Any], *, quiet: bool, as_json: bool
) -> None:
    """Register the pairs of a table, and say what becomes of each.

    Parameters
    ----------
    table, out, options
        Of `register_cohort`.
    quiet
        Print errors only.
    as_json
        Print the records of all pairs as JSON at the end, and nothing but that to standard output.

    Raises
    ------
    RegistrationError
        If a pair failed, after all others are done.
    """
    from cnnmetric.files.output import json_text
    from cnnmetric.registration.cohort.run import register_cohort

    told: set[str] | None = None

    def tell(cohort: Cohort) -> None:
        nonlocal told
        ended = {r["name"]: r for r in cohort.records if r["status"] != "waiting"}
        before, told = told, set(ended)
        if quiet:
            return
        total = len(cohort.records)
        if before is None:
            if ended:
                print(f"{len(ended)} of {total} pairs are done already", file=sys.stderr)
            return
        for name in told - before:
            print(f"[{len(ended)}/{total}] {_line(ended[name])}", file=sys.stderr)

    cohort = register_cohort(table, out, on_pair=tell, **options)
    if as_json:
        print(json_text({"page": str(cohort.page), "pairs": list(cohort.records)}))
    elif not quiet:
        print(cohort.page)
    failed = cohort.number("failed")
    if failed:
        msg = (
            f"{failed} of {len(cohort.records)} pairs failed, see {cohort.page}; the same command "
            "tries them again"
        )
        raise RegistrationError(msg)


def _line(record: Mapping[str, Any]) -> str:
    if record["failure"]:
        return f"{record['name']} failed: {record['failure']}"
    warning = f"; {record['warning']}" if record["warning"] else ""
    return f"{record['name']} done, {record['seconds']:.0f} s{warning}"
