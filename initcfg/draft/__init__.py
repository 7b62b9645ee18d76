"""A first draft of a spec, from the names and shapes of a model or from nothing."""

from __future__ import annotations

from initcfg.draft.document import new_spec

__all__ = ["new_spec"]
