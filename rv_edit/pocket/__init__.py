"""The embedded world: scenes, knowledge, questions, renderer, training and shipped weights."""
