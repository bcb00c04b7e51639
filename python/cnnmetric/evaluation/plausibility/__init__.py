# SPDX-License-Identifier: Apache-2.0
"""How the metric and its derivative behave around the true alignment (paper, Section 3.3)."""
