"""Editors: plain objects that take edits and answer questions, and the Lightning shell around them."""
