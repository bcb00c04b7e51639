# SPDX-License-Identifier: Apache-2.0
"""``python -m cnnmetric.demo``: register T1 and T2 of two subjects, draw the result."""
