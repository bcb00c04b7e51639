# SPDX-License-Identifier: Apache-2.0
"""Learning the metric: aligned image pairs in, one ``.onnx`` file out (Section 2.2 of the paper).

The only part of cnnmetric that needs PyTorch and onnx; registration never imports it.
"""

from __future__ import annotations

import importlib.util

from cnnmetric.errors import CompatibilityError

_missing = [name for name in ("torch", "onnx", "tqdm") if importlib.util.find_spec(name) is None]
if _missing:
    msg = (
        f"training needs {' and '.join(_missing)}, which registration does not. In the folder of "
        "cnnmetric's sources: pip install '.[train]'; with a wheel: pip install "
        "'cnnmetric-VERSION.whl[train]', the file's own name. Without a GPU, install PyTorch "
        "first, by PyTorch's own instructions for a CPU build, which is many times smaller"
    )
    raise CompatibilityError(msg)
