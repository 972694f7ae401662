"""The report of an evaluation: one page that holds its tables, charts and pictures.

`page` writes it from what `evaluation` found, `layers` draws what its player shows.
"""

from jaxmotion.report.page import write_report

__all__ = ["write_report"]
