"""Training through Lightning: recipe, data, augmentation, module, checkpoints, curves."""
