"""rv_edit: correct a vision-language model in words, and see the correction generalise."""

__version__ = "0.1.0"
