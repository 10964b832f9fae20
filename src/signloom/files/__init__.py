"""Files: written whole or not at all, read with care, with paths that stay inside their folder."""
