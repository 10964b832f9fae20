"""The report page of a run: one HTML file, nothing outside it, made from whatever the run folder holds."""

from signloom.report.run_page import write_report

__all__ = ["write_report"]
