"""Drawing of the pocket world: palette, pen, the twenty kinds, and backgrounds."""
