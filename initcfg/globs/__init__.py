"""Globs over dotted names, matched in one pass over the name whatever the patterns.

    *        any characters inside one segment        ?        one character inside a segment
    **       any number of whole segments, or none    [a-z]    one of a set, [!a-z] one outside it
    {a,b}    either text, which may be globs itself   {i}      a segment that is a whole number
    [*]      a star itself, as every character of a set is; []] is a bracket

Many patterns are matched at once, at the cost of one. Where ``{i}`` could take more than one segment of a
name, as in ``**.{i}.**``, it takes the first.
"""

from __future__ import annotations

from initcfg.globs.matcher import Glob, GlobSet
from initcfg.globs.pattern import MAX_PATTERN, PatternError, literal

__all__ = ["MAX_PATTERN", "Glob", "GlobSet", "PatternError", "literal"]
