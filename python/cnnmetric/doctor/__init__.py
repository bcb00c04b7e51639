# SPDX-License-Identifier: Apache-2.0
"""Find out why cnnmetric does not run, and what to do: ``python -m cnnmetric.doctor``.

Started this way, the package's own checks do not run at its import (`cnnmetric/__init__.py`), so
the doctor comes up where ``import cnnmetric`` fails. What may crash runs in processes of its own.
"""
