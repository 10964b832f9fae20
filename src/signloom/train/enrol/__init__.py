"""Enrolment: adapts a trained model to the clips of a new signer, or to new signs, without its corpus."""
