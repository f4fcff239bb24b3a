"""Learning rates that stay right when the network gets wider.

A rate that is found on a small network can be used on a large one only if a step changes the
activations of both by the same amount. For our optimisers and initial weights this asks for one
correction. With n the width:

- Matrices of the blocks, Muon: the update has singular values near ``rate × sqrt(rows/columns)``.
  An activation whose channels are of order one is changed by order one at any n, if head size and
  the ratio of the feed-forward width are kept. Nothing to do.
- Embedding, AdamW: each entry moves by the rate and is itself a channel. Nothing to do. The same
  holds for norms and biases.
- Output matrix, AdamW: each entry moves by the rate, in the direction of its input. A logit adds up
  n such products of equal sign, so it moves by n × rate: the rate must fall as 1/n.

Multipliers in the forward pass would do the same, but ``LlamaForCausalLM`` has none, and the saved
weights must mean the same there.

Sources: Yang et al., "Tensor Programs V", arXiv:2203.03466 (table 8, Adam); Yang, Simon and
Bernstein, "A Spectral Condition for Feature Learning", arXiv:2310.17813 (condition 1, for Muon).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

from torch import nn

from heuresis_models.optimizer import is_block_matrix

BASE_WIDTH: Final = 192
"""Width at which the rates of the recipes were chosen; there nothing is changed."""

Group = Literal["matrices", "embedding", "vectors", "output"]


@dataclass(frozen=True)
class Rates:
    """The learning rate of each group of parameters."""

    matrices: float
    """Matrices of the blocks (Muon)."""
    embedding: float
    """Embedding (AdamW)."""
    vectors: float
    """Scales of the norms, and biases (AdamW)."""
    output: float
    """Output matrix (AdamW)."""


def group_of(name: str, weight: nn.Parameter) -> Group:
    """Return the group of a parameter, by its saved name."""
    if is_block_matrix(name, weight):
        return "matrices"
    if weight.ndim < 2:
        return "vectors"
    return "output" if name.startswith("lm_head") else "embedding"


def scaled_rates(
    width: int,
    *,
    matrix_rate: float,
    other_rate: float,
    base_width: int = BASE_WIDTH,
    tied: bool = False,
) -> Rates:
    """Return the rates for a width, from those that are right at ``base_width``.

    Args:
        width: channels of the residual stream (``hidden_size``).
        matrix_rate: of Muon at the base width.
        other_rate: of AdamW at the base width.
        base_width: where the two rates were chosen.
        tied: embedding and output are one matrix. It then takes the rate of the output, since too
            fast a step breaks a training and too slow a one does not.

    Raises:
        ValueError: a width is not positive.
    """
    if width <= 0 or base_width <= 0:
        raise ValueError(f"widths must be above 0, got width {width}, base_width {base_width}")
    output = other_rate * (base_width / width)
    return Rates(
        matrices=matrix_rate,
        embedding=output if tied else other_rate,
        vectors=other_rate,
        output=output,
    )


def adam_groups(model: nn.Module, rates: Rates) -> list[dict[str, Any]]:
    """Return the parameter groups for AdamW: all but the matrices of the blocks, with their rates.

    Each group also holds ``base_rate``, for schedules that multiply it.
    """
    members: dict[Group, list[nn.Parameter]] = {}
    for name, weight in model.named_parameters():
        members.setdefault(group_of(name, weight), []).append(weight)
    asked: Iterable[Group] = ("embedding", "vectors", "output")
    return [
        {"params": members[group], "lr": getattr(rates, group), "base_rate": getattr(rates, group)}
        for group in asked
        if group in members
    ]
