"""Texts → token ids, by SentencePiece.

SentencePiece: A simple and language independent subword tokenizer and detokenizer for Neural Text
Processing, arXiv 1808.06226. Its training gives the same vocabulary each time, and it depends on
nothing.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import sentencepiece
from numpy.typing import NDArray

from onebit.errors import OnebitError, first_line

PADDING, UNKNOWN, FIRST, LAST = 0, 1, 2, 3
"""The ids of the pieces [PAD], [UNK], [CLS] and [SEP], BERT's names for them."""


class Tokenizer:
    """A trained vocabulary.

    Args:
        model: The SentencePiece model: the content of a file, whole.

    Raises:
        OnebitError: It is none.
    """

    def __init__(self, model: bytes):
        self.model = model
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        except RuntimeError as error:
            raise OnebitError(f"the tokenizer is damaged: {first_line(error)}") from error

    def __len__(self) -> int:
        return self._processor.get_piece_size()

    def encode(self, texts: Sequence[str], length: int) -> NDArray[np.int32]:
        """Ids `[N, length]`: [CLS], the text's pieces as far as they fit, [SEP], then [PAD]."""
        ids = np.full((len(texts), length), PADDING, np.int32)
        for row, pieces in zip(ids, self._processor.encode(list(texts)), strict=True):
            kept = [FIRST, *pieces[: length - 2], LAST]
            row[: len(kept)] = kept
        return ids


def train_tokenizer(texts: Sequence[str], vocabulary: int) -> Tokenizer:
    """A tokenizer with at most `vocabulary` pieces of these texts, lower-cased; the same each time.

    Args:
        texts: What the pieces are chosen by; at least one that is not blank.
        vocabulary: Pieces, the four special ones included; few texts may give fewer.
    """
    content = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=content,
        model_type="unigram",
        vocab_size=vocabulary,
        hard_vocab_limit=False,
        normalization_rule_name="nmt_nfkc_cf",
        pad_id=PADDING,
        unk_id=UNKNOWN,
        bos_id=FIRST,
        eos_id=LAST,
        pad_piece="[PAD]",
        unk_piece="[UNK]",
        bos_piece="[CLS]",
        eos_piece="[SEP]",
        shuffle_input_sentence=False,
        num_threads=1,
        minloglevel=2,
    )
    return Tokenizer(content.getvalue())
