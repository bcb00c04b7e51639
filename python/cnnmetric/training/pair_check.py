# SPDX-License-Identifier: Apache-2.0
"""Say before training which pairs look misaligned."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from cnnmetric.errors import DataError
from cnnmetric.training.data.aligned_pair import AlignedPair
from cnnmetric.training.data.misalignment import describe_misaligned


class MisalignedPairsWarning(UserWarning):
    """Pairs that training takes for aligned look as if they were not."""


def check_pairs(pairs: Sequence[AlignedPair], *, strict: bool, tell: bool = True) -> list[str]:
    """Warn of all pairs that look misaligned, at once.

    Parameters
    ----------
    pairs
        Real ones, held out or not.
    strict
        Raise an error and do not only warn.
    tell
        Warn at all; of several processes one does.

    Returns
    -------
    list[str]
        The labels of these pairs.

    Raises
    ------
    DataError
        If there are some and ``strict`` is set.
    """
    found = describe_misaligned(pairs)
    if not found:
        return []
    listed = "; ".join(
        f"{pairs[place].label or 'a pair'} ({pairs[place].name}) {what}"
        for place, what in found.items()
    )
    several = f"{len(found)} of {len(pairs)} pairs look" if len(found) > 1 else "A pair looks"
    msg = (
        f"{several} misaligned: {listed}. Look at them, one image over the other; register them, "
        "correct their headers, or take them out of the table"
    )
    if strict:
        raise DataError(msg)
    if tell:
        msg += ". They are trained on as they are; --strict-pairs stops here"
        warnings.warn(msg, MisalignedPairsWarning, stacklevel=2)
    return [pairs[place].label for place in found]
