# SPDX-License-Identifier: Apache-2.0
"""Programs that carry an ITK of their own; run as scripts, never imported."""
