"""Where the files of a sharded set go: one folder, on a local file system or behind fsspec.

A store knows names, bytes and whole files. It knows no plan.
"""

from __future__ import annotations

from initcfg.stores.base import Store
from initcfg.stores.opening import is_folder, is_remote, local_path, open_store, require_folder

__all__ = ["Store", "is_folder", "is_remote", "local_path", "open_store", "require_folder"]
