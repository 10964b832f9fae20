"""Word error rate: alignment, scoring rules, comparison of two systems, file formats, text output. Needs no torch."""
