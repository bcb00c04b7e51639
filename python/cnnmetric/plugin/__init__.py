# SPDX-License-Identifier: Apache-2.0
"""The compiled plugin: what it needs, how it is loaded, how its failures reach Python."""
