from rv_edit.api import EditedVLM as EditedVLM

__version__: str
