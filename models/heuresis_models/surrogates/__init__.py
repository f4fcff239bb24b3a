"""Properties learned from measured values: means with calibrated intervals, fast enough for a loop.

Reading order: `methods` (what a method is; mean and linear probe), `boosting`, `gaussian_process`,
`finetuned` (three more), `conformal` (intervals), `surrogate` (fitting, weighing, predicting),
`storage` (files). ``docs/model/encoder.md`` says how well they do.
"""

from heuresis_models.surrogates.boosting import Boosting
from heuresis_models.surrogates.errors import SurrogateError
from heuresis_models.surrogates.finetuned import FineTuned
from heuresis_models.surrogates.gaussian_process import GaussianProcess
from heuresis_models.surrogates.methods import LinearProbe, MeanValue, Method
from heuresis_models.surrogates.storage import load_surrogate, save_surrogate
from heuresis_models.surrogates.surrogate import (
    Prediction,
    Surrogate,
    Unseen,
    ensemble,
    fit_compared,
    fit_surrogate,
)

__all__ = [
    "Boosting",
    "FineTuned",
    "GaussianProcess",
    "LinearProbe",
    "MeanValue",
    "Method",
    "Prediction",
    "Surrogate",
    "SurrogateError",
    "Unseen",
    "ensemble",
    "fit_compared",
    "fit_surrogate",
    "load_surrogate",
    "save_surrogate",
]
