"""Word error rate, exact and explained: alignment, counts, protocols, and how they are shown. No torch."""
