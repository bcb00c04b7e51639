# SPDX-License-Identifier: Apache-2.0
"""The texts that the sources can print."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GAP = "\0"  # of a text: what is only known when the program runs


def texts() -> Iterator[str]:
    """Yield every text of Python, and of every file of C++ all of its texts, joined by gaps."""
    for file in sorted((ROOT / "python").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(_of_python(part) for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
    for file in sorted((ROOT / "cpp").rglob("*.*")):
        if file.suffix in {".h", ".hxx", ".cxx"}:
            yield _of_cpp(file.read_text(encoding="utf-8"))


def _of_python(part: ast.expr) -> str:
    return str(part.value) if isinstance(part, ast.Constant) else GAP


def _of_cpp(source: str) -> str:
    code = re.sub(r"^\s*//.*$", "", source, flags=re.MULTILINE)
    literals = r'"((?:[^"\\\n]|\\.)*)"'
    joined = re.sub(r'"\s*\n\s*"', "", code)  # as the compiler does
    return GAP.join(text.replace('\\"', '"') for text in re.findall(literals, joined))
