"""The report page of a run: one HTML file, nothing outside it, made from whatever the run folder holds."""

from signloom.report.page import REPORT_PAGE, score_page_name, write_report

__all__ = ["REPORT_PAGE", "score_page_name", "write_report"]
