"""Draws landmarks as a person: pictures and animations of any landmark file."""
