"""A Gaussian process that guides a search: exact, unfitted, fed one measurement at a time.

It reads `heuresis.spaces.features.Features` only, so it knows no chemistry. What it says is a pure
function of what it was shown, in order: whoever shows it the same history again gets the same
numbers, which is what lets a stopped campaign resume exactly.
"""

from heuresis_models.gaussian_process.acquisition import by_upper_confidence, drawn_beta
from heuresis_models.gaussian_process.followed import Followed, Posterior
from heuresis_models.gaussian_process.gate import RankGate, rank_correlation
from heuresis_models.gaussian_process.process import GaussianProcess
from heuresis_models.gaussian_process.settings import Covariance, SurrogateSettings
from heuresis_models.gaussian_process.similarity import CountTable, minmax_to_one
from heuresis_models.gaussian_process.surrogate import SearchSurrogate

__all__ = [
    "CountTable",
    "Covariance",
    "Followed",
    "GaussianProcess",
    "Posterior",
    "RankGate",
    "SearchSurrogate",
    "SurrogateSettings",
    "by_upper_confidence",
    "drawn_beta",
    "minmax_to_one",
    "rank_correlation",
]
