# SPDX-License-Identifier: Apache-2.0
"""Many registrations: processes, a Dask cluster, and records that a later run continues."""
