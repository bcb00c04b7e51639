# SPDX-License-Identifier: Apache-2.0
"""Inputs that nobody would write, by the thousand, and rules that every outcome has to keep.

A case is a function of its kind, a seed and a number: ``python -m fuzz params --case 406`` does one
again. `harness` runs cases in processes of their own, `oracles` judges what comes out, and
`known_faults` lists what is wrong in the software that the package stands on.
"""

import os

# Before NumPy is imported, whose threads would not survive a fork.
os.environ.setdefault("OMP_NUM_THREADS", "1")
