"""Training of the pocket VLMs and of the sentence encoder, from nothing, on a CPU."""
