# SPDX-License-Identifier: Apache-2.0
"""What a registration is judged by: its quality without labels, and the page that shows it."""
