"""Tokens that stand for steps of a scale start as neighbours.

With embeddings drawn one by one, a model must learn for each level anew what it means. Drawn as
points of one smooth curve, what is learned of a level holds for those beside it, as if the value
had been put in as a number; afterwards they are ordinary embeddings, in any layout.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

from heuresis_models.language.tokens import LEVELS, QUANTILES
from heuresis_models.language.vocabulary import Vocabulary

_HALF_WAVES: Final = 6
"""Along the scale: the shortest wave tells levels a sixth of the scale apart well from another."""


@torch.no_grad()
def order_embeddings(
    embedding_VE: Tensor, vocabulary: Vocabulary, generator: torch.Generator
) -> None:
    """Draw the embeddings of levels and of quantiles anew, each group on a random smooth curve.

    Every value keeps variance 1, so other tokens start on equal terms.

    Args:
        embedding_VE: changed in place.
        vocabulary: whose tokens the rows belong to.
        generator: of random numbers.
    """
    width = embedding_VE.shape[1]
    for group in (LEVELS, QUANTILES):
        place_L1 = torch.linspace(0.0, 1.0, len(group))[:, None]
        wave_1W = torch.arange(_HALF_WAVES + 1)[None, :]
        # The mean square of each point is 1 when the amplitudes have variance 1 each.
        points_LW = torch.cos(math.pi * place_L1 * wave_1W)
        points_LW /= points_LW.square().sum(dim=1, keepdim=True).sqrt()
        amplitude_WE = torch.randn(_HALF_WAVES + 1, width, generator=generator)
        rows_L = [vocabulary[token] for token in group]
        embedding_VE[rows_L] = (points_LW @ amplitude_WE).to(embedding_VE)
