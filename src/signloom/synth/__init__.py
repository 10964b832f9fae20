"""Simulated signing: made-up signs, bodies, a camera and a tracker produce a corpus whose truth is known."""
