"""Connectionist temporal classification without torch: collapse, feasibility, decoding."""
