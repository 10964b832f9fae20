"""Annotations with times: tiers, and the ELAN files that hold them."""
