# SPDX-License-Identifier: Apache-2.0
"""Registration of two images by the learned metric."""
