"""Evaluation suites from language and image models: what is asked for, read, drawn, checked, kept (appendix B).

Read in this order: ``requests`` (who is asked what), ``settings`` and ``plan`` (what an edit needs), ``parsing`` and
``texts`` (writing), ``store`` and ``pictures`` (drawing), ``journal`` (what is kept), ``assemble`` (the folder),
``estimate`` (what it costs); providers are ``openai_text`` (with ``openai_reply``), ``local_text``, ``diffusion`` and
``checking``.
"""
