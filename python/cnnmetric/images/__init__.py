# SPDX-License-Identifier: Apache-2.0
"""Images: reading, warping, and the overlap of label maps."""
