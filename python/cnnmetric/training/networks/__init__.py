# SPDX-License-Identifier: Apache-2.0
"""The networks that can be trained."""
