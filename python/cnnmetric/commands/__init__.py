# SPDX-License-Identifier: Apache-2.0
"""The command ``cnnmetric``: a file per subcommand, and `main`, which finds them by name."""
