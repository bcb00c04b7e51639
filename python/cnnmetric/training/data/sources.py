# SPDX-License-Identifier: Apache-2.0
"""Where training pairs come from: ``--source KIND=PATH[:WEIGHT]``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from typing import get_args

from cnnmetric.errors import SettingsError

Kind = Literal["synthetic", "contrast", "real"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, kw_only=True)
class Source:
    """One source of training pairs.

    Attributes
    ----------
    kind
        ``"real"``: a table of aligned images, or the folder of IXI; ``"contrast"``: a table of
        single images, each paired with itself in another, random contrast; ``"synthetic"``: a
        folder of label maps, each rendered in two random contrasts.
    path
        The table or folder.
    weight
        How often it is chosen, relative to the other sources' weights.
    """

    kind: Kind
    path: Path
    weight: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Source:
        """Read ``KIND=PATH`` or ``KIND=PATH:WEIGHT``.

        Raises
        ------
        SettingsError
            If the kind is unknown, the path is missing, or the weight is not above 0.

        Examples
        --------
        >>> Source.parse("synthetic=label_maps:0.5").weight
        0.5
        """
        kind, _, rest = text.partition("=")
        path, colon, number = rest.rpartition(":")
        weight = 1.0
        if colon and _is_number(number):
            rest, weight = path, float(number)
        if kind not in KINDS or not rest or not 0 < weight < math.inf:
            msg = (
                f"--source {text} must be KIND=PATH or KIND=PATH:WEIGHT, where KIND is "
                f"{', '.join(KINDS[:-1])} or {KINDS[-1]}, and WEIGHT a number above 0"
            )
            raise SettingsError(msg)
        return cls(kind=kind, path=Path(rest), weight=weight)

    def __str__(self) -> str:
        """Return the source as it is asked for, without where its file lies."""
        return f"{self.kind}={self.path.name}:{self.weight:g}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
