# SPDX-License-Identifier: Apache-2.0
"""Registration of a whole table of pairs."""
