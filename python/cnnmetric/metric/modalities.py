# SPDX-License-Identifier: Apache-2.0
"""What a model calls the modality of an image."""

from __future__ import annotations

# Of a model that takes every modality, as in cnnmetricModelInformation.h.
ANY = "any"
