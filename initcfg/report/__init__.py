"""What a plan comes to, to be looked at: figures as a value without rendering, and a page of them."""

from __future__ import annotations

from initcfg.report.figures import Source, figures_of, spectrum_of
from initcfg.report.page import page_of
from initcfg.report.values import Figures

__all__ = ["Figures", "Source", "figures_of", "page_of", "spectrum_of"]
