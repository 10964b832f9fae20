"""The models: front end, student, checkpoint. Plain torch modules that know nothing of how they are trained."""
