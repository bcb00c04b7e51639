# SPDX-License-Identifier: Apache-2.0
"""What a network is trained on: image pairs, and the patches and crops taken from them."""
