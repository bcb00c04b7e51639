# SPDX-License-Identifier: Apache-2.0
"""Files of points, one module per format; positions inside are always ITK's x, y, z in mm."""
