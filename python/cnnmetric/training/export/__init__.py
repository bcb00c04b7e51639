# SPDX-License-Identifier: Apache-2.0
"""From a trained network to the model file: value and input gradient as one ONNX graph."""
