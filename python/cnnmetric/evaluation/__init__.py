# SPDX-License-Identifier: Apache-2.0
"""Registration methods compared on labelled subjects (Section 3.1 of the paper).

In the order in which data flows: `tables` says what to register, `methods` register, `score`
measures, `job` does one registration from files to a record, `registration.batch.runner` many of
them, `results` keeps the records, and `summary` and `figures` show them.
"""

from __future__ import annotations

import importlib.util

from cnnmetric.errors import CompatibilityError
from cnnmetric.plugin.installation import install_extra

_needed = ("distributed", "matplotlib", "pandas", "scipy", "tqdm")
_missing = [name for name in _needed if importlib.util.find_spec(name) is None]
if _missing:
    msg = (
        f"evaluation needs {' and '.join(_missing)}, which registration does not. "
        f"{install_extra('evaluate')}"
    )
    raise CompatibilityError(msg)
