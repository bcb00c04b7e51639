# SPDX-License-Identifier: Apache-2.0
"""Records of finished registrations of an evaluation."""

from __future__ import annotations

from cnnmetric.registration.batch.records import Records


class Results(Records):
    """The results of one output folder, which later runs continue.

    Examples
    --------
    >>> results = Results(Path("out"))
    >>> results.append({"preset": "practical", "method": "mi", "registration": "03:T1:13:T2"})
    >>> results.keys
    {("practical", "mi", "03:T1:13:T2")}
    """

    identity = ("preset", "method", "registration")
