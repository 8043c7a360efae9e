"""How is the prediction steered? Denoiser -> Denoiser, one method a file; scale 1 is plain conditional everywhere."""

from sciddm.guidance.classifier import classifier
from sciddm.guidance.classifier_free import classifier_free
from sciddm.guidance.negative import negative
from sciddm.guidance.regressor import regressor

__all__ = ["classifier", "classifier_free", "negative", "regressor"]
