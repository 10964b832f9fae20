"""The models: front end, bodies, checkpoint. Plain torch modules that know nothing of how they are trained."""
