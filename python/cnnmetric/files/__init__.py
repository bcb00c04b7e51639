# SPDX-License-Identifier: Apache-2.0
"""Tables and points that users write, and files that commands write."""
