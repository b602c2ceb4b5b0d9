"""The HTTP service: questions, edits and their history over a network, safe on a disk before they are acknowledged."""
