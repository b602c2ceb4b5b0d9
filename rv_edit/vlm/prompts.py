"""Prompts: how a question and its facts are put to a model, as data, and how they become token ids.

User text is text. A question that contains ``<image>`` or another special token of the tokenizer must not put
one into the prompt, so every such literal inside the user's part is tokenised again as plain characters.
Everything else is tokenised as one string: pieces glued together would differ from it with tokenizers that
mark the beginning of a word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from data_modules.hub_errors import first_line
from rv_edit.errors import ConfigError

SLOT = "{q}"
"""Where the user's text goes in a template."""

_SENTINEL = "\ue000q\ue000"  # stands for the user's text while a chat template is rendered: private use, kept verbatim


class PromptTooLongError(ValueError):
    """A prompt longer than the positions the language model knows."""


class Prompt(str):
    """A prompt as the model reads it, which remembers its question, its facts and where the user's text lies."""

    question: str
    facts: tuple[str, ...]
    user: tuple[int, int]

    def __new__(cls, text: str, question: str, facts: Sequence[str], user: tuple[int, int]) -> Prompt:
        """``user`` is the span of characters of ``text`` that the user wrote."""
        prompt = super().__new__(cls, text)
        prompt.question, prompt.facts, prompt.user = question, tuple(facts), user
        return prompt

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with the parts."""
        return Prompt, (str(self), self.question, self.facts, self.user)


@dataclass(frozen=True)
class PromptStyle:
    """How a checkpoint wants to be asked.

    Attributes:
        kind: ``template`` (the one below) or ``chat`` (the checkpoint's own chat template, one user turn).
        template: Text with ``{q}`` for the user's text and, once, ``image_token`` for the picture.
        image_token: The picture's place holder in the template; ``None`` where the family places the picture itself.
        yes_no: The two answers to a yes/no question, spelled and capitalised as this checkpoint says them.
        answer_prefix: Text between prompt and answer, such as a blank; none where the tokenizer marks word starts.
        fact_separator: What joins the facts and the question, in the user's turn (paper 3.2).
    """

    kind: str = "template"
    template: str = SLOT
    image_token: str | None = "<image>"
    yes_no: tuple[str, str] = ("Yes", "No")
    answer_prefix: str = ""
    fact_separator: str = " "

    def override(self, values: Mapping[str, Any], where: str) -> PromptStyle:
        """This style with some fields replaced; ``where`` names their origin in errors.

        Raises:
            ConfigError: an unknown field, or a value that is not the text it should be.
        """
        known = [field.name for field in fields(self)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ConfigError(f"{where}: unknown field {unknown[0]!r}; a prompt style has {', '.join(known)}")
        changes = {name: _checked(name, value, where) for name, value in values.items()}
        return replace(self, **changes)

    def rendered(self, processor: Any) -> PromptStyle:
        """This style as a checked template: a chat template is rendered once, around a place holder.

        Raises:
            ConfigError: no chat template, or not exactly one place for the user's text and for the picture.
        """
        style = self
        if self.kind == "chat":
            content = [{"type": "image"}, {"type": "text", "text": _SENTINEL}]
            # Some checkpoints keep the template with the tokenizer alone.
            has_it = getattr(processor, "chat_template", None) or not hasattr(processor, "tokenizer")
            try:
                text = (processor if has_it else processor.tokenizer).apply_chat_template(
                    [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
                )
            except Exception as error:  # jinja, missing template, unsupported content: all the same to the user
                raise ConfigError(
                    f"prompt style: the checkpoint's chat template cannot be used ({first_line(error)}); "
                    "give prompt_style.kind=template and prompt_style.template"
                ) from error
            style = replace(self, kind="template", template=text.replace(_SENTINEL, SLOT))
        elif self.kind != "template":
            raise ConfigError(f"prompt style: kind must be template or chat, not {self.kind!r}")
        for piece in (SLOT, style.image_token):
            if piece is not None and style.template.count(piece) != 1:
                raise ConfigError(f"prompt style: {piece!r} must occur exactly once in {style.template!r}")
        return style


Target = str | tuple[str, str]
"""What a model is trained to say: a text, or an answer and the text that follows it."""


class PromptEncoder:
    """Texts to prompts, prompts and answers to token ids, for one tokenizer and one style."""

    def __init__(self, tokenizer: Any, style: PromptStyle, max_tokens: int | None = None) -> None:
        """``style`` must be rendered; ``max_tokens`` bounds the ids of one prompt, picture included.

        Raises:
            ConfigError: a slow tokenizer, an image token the tokenizer does not know, or yes and no alike.
        """
        if not getattr(tokenizer, "is_fast", False):
            raise ConfigError(f"tokenizer {type(tokenizer).__name__}: its fast version (tokenizer.json) is needed")
        self.tokenizer = tokenizer
        self.style = style
        self.max_tokens = max_tokens
        self._head, self._tail = style.template.split(SLOT)
        bos = tokenizer.bos_token
        self._add_special = not (bos and style.template.startswith(bos))
        added = tokenizer.added_tokens_decoder
        self._special = {index for index, token in added.items() if token.special} | set(tokenizer.all_special_ids)
        self.image_id: int | None = None
        if style.image_token is not None:
            ids = tokenizer(style.image_token, add_special_tokens=False)["input_ids"]
            if len(ids) != 1:
                raise ConfigError(f"prompt style: the tokenizer does not know the image token {style.image_token!r}")
            self.image_id = int(ids[0])
            self._special.add(self.image_id)
        self._unk = (tokenizer.unk_token_id, tokenizer.unk_token)
        self._special.discard(self._unk[0])  # what every unknown character becomes: text, unless written out
        first = [self.answer_ids(word)[0] for word in style.yes_no]
        if first[0] == first[1]:
            raise ConfigError(f"prompt style: yes_no {list(style.yes_no)} begin with the same token; use other words")
        self.yes_no_ids: tuple[int, int] = (first[0], first[1])

    def format(self, question: str, facts: Sequence[str] = ()) -> Prompt:
        """Facts, then the question, in the user's turn. Characters that no file could hold become ``?``."""
        if isinstance(facts, str):
            raise TypeError("facts must be a list of sentences, not one string")
        text = self.style.fact_separator.join([*facts, question])
        text = _encodable(text)
        start = len(self._head)
        return Prompt(self._head + text + self._tail, question, facts, (start, start + len(text)))

    def encode(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Token ids of each prompt, the picture's place holder being one id.

        Raises:
            TypeError: a plain string, of which nobody knows what the user wrote.
        """
        for prompt in prompts:
            if not isinstance(prompt, Prompt):
                raise TypeError(f"prompts come from format_prompt(question, facts), not plain strings: {prompt!r}")
        if not prompts:
            return []
        encoded = self.tokenizer(
            [str(prompt) for prompt in prompts],
            add_special_tokens=self._add_special,
            return_offsets_mapping=True,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        return [
            self._user_as_text(prompt, ids, offsets)
            for prompt, ids, offsets in zip(prompts, encoded["input_ids"], encoded["offset_mapping"], strict=True)
        ]

    def answer_ids(self, text: str) -> list[int]:
        """Token ids of an answer right after a prompt; special tokens in it are text.

        Raises:
            ValueError: an answer without any token.
        """
        ids = self._plain(self.style.answer_prefix + _encodable(text))
        if not ids:
            raise ValueError(f"the answer {text!r} is empty: it has no token to score")
        return ids

    def target_ids(self, target: Target) -> list[int]:
        """Token ids of a target; where it is an answer and what follows, they begin with those the answer is scored by.

        A tokenizer may join an answer and the full stop behind it, which would train another token than is asked for.

        Raises:
            ValueError: an answer without any token.
        """
        if isinstance(target, str):
            return self.answer_ids(target)
        answer, rest = target
        own, joint = self.answer_ids(answer), self.answer_ids(answer + rest)
        return joint if joint[: len(own)] == own else own + self._plain(_encodable(rest))

    def check_length(self, tokens: int, prompt: Prompt, what: str = "prompt") -> None:
        """Refuse a prompt, or a prompt with an answer, of more ids than the model has positions for."""
        if self.max_tokens is not None and tokens > self.max_tokens:
            raise PromptTooLongError(
                f"{what} of {tokens} tokens, but the model takes {self.max_tokens}; "
                f"give shorter texts (question: {prompt.question[:60]!r})"
            )

    def check_yes_no(self, tokens: int) -> None:
        """Refuse yes and no of another number of tokens: of a longer word the first one alone would be read.

        Raises:
            ConfigError: one of the two has another number of tokens, or is unknown to the tokenizer.
        """
        for word in self.style.yes_no:
            ids = self.answer_ids(word)
            if len(ids) != tokens or self.tokenizer.unk_token_id in ids:
                pieces = self.tokenizer.convert_ids_to_tokens(ids)
                raise ConfigError(
                    f"prompt style: yes_no: this tokenizer reads {word!r} as {len(ids)} tokens {pieces}, not {tokens}; "
                    "spell the two as the model says them (prompt_style.yes_no)"
                )

    def check_vocabulary(self, rows: int, name: str) -> None:
        """Refuse a tokenizer that writes ids for which the model has no embedding; a GPU would fail at some prompt.

        Raises:
            ConfigError: text can become an id of ``rows`` or above. Special tokens, which text never becomes, may.
        """
        ids = set(self.tokenizer.get_vocab().values()) - self._special
        if ids and max(ids) >= rows:
            raise ConfigError(
                f"{name}: its tokenizer knows {max(ids) + 1} tokens, its model {rows}: files of different checkpoints"
            )

    def _user_as_text(self, prompt: Prompt, ids: list[int], offsets: list[tuple[int, int]]) -> list[int]:
        start, stop = prompt.user
        out: list[int] = []
        for token, (a, b) in zip(ids, offsets, strict=True):
            text = str(prompt)[a:b]
            written = token in self._special or (token == self._unk[0] and self._unk[1] in text)
            if written and a < b and a < stop and b > start:
                out.extend(self._plain(text))
            else:
                out.append(token)
        return out

    def _plain(self, text: str) -> list[int]:
        ids = self._split(text)
        found = self._special.intersection(ids)
        if not found or len(text) < 2:
            return ids
        # An added token that is not marked special survives the flag: cut its literals behind their first character,
        # and everything where the text is changed before it is looked for.
        literals = [self.tokenizer.convert_ids_to_tokens(token) for token in found]
        cut = "|".join(f"(?<={re.escape(literal[:1])})(?={re.escape(literal[1:])})" for literal in literals)
        ids = [token for piece in re.split(cut, text) for token in self._split(piece)]
        if self._special.isdisjoint(ids):
            return ids
        return [token for character in text for token in self._split(character)]

    def _split(self, text: str) -> list[int]:
        encoded = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)
        ids: list[int] = encoded["input_ids"]
        return ids


def _checked(name: str, value: Any, where: str) -> Any:
    """A field of a prompt style from a file or an option, whose types nobody has looked at."""
    if name == "yes_no":
        pair = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else []
        if len(pair) != 2 or not all(isinstance(word, str) and word.strip() for word in pair):
            hint = "; YAML reads yes and no without quotes as true and false" if True in pair or False in pair else ""
            raise ConfigError(f"{where}: yes_no must be two answers such as ['Yes', 'No'], not {value!r}{hint}")
        return (pair[0], pair[1])
    if isinstance(value, str) or (name == "image_token" and value is None):
        return value
    raise ConfigError(f"{where}: {name} must be text{' or null' if name == 'image_token' else ''}, not {value!r}")


def _encodable(text: str) -> str:
    """Lone surrogates, which stop every tokenizer, as ``?``."""
    return text.encode("utf-8", "replace").decode("utf-8")
