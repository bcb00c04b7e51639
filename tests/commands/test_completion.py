# SPDX-License-Identifier: Apache-2.0
"""A shell completes what there is."""

from __future__ import annotations

import subprocess

import pytest

from cnnmetric.commands.main import NAMES
from cnnmetric.commands.main import main


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_every_shell_gets_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(name in script for name in NAMES)
    assert "grid-spacing" in script


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["cnnmetric", "plau"], ["plausibility"]),
        (["cnnmetric", "register", "--jac"], ["--jacobian"]),
        (["cnnmetric", "register", "--deformation", "a"], ["affine"]),
        (["cnnmetric", "models", "a"], ["add"]),
        (["cnnmetric", "models", "add", "--na"], ["--name"]),
        (["cnnmetric", "models", "add", "/etc/hostn"], ["/etc/hostname"]),
    ],
)
def test_bash_completes(
    words: list[str], found: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    script += (
        f"\nCOMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}\n"
        '_shtab_cnnmetric; echo "${COMPREPLY[@]}"\n'
    )
    run = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split() == found
