"""Trained models in use: the model, its engines, evaluation, calibration."""
