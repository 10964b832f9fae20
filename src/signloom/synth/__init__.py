"""The simulated signer: signs, bodies, cameras and a tracker that make a corpus whose truth is known."""
