"""What a plan comes to, to be looked at: figures as a value without rendering, and a page of them."""

from initcfg.report.figures import Figures, figures_of
from initcfg.report.page import page_of

__all__ = ["Figures", "figures_of", "page_of"]
