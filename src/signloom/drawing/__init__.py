"""Draws landmarks as a person: pictures and clips of any landmark file."""
