# SPDX-License-Identifier: Apache-2.0
"""The learned metric without a registration: the network on arrays, the metric on images."""
