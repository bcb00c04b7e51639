# SPDX-License-Identifier: Apache-2.0
"""Tables that users write, and files that commands write."""
