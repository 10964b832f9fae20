"""Recognition as a page: a static site whose recogniser runs in the visitor's browser."""
