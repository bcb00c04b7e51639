# SPDX-License-Identifier: Apache-2.0
"""Registration over whole displacements: every control point tries all of them."""
