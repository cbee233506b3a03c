"""PCA of vectors."""

import numpy as np

from tfrec_fusion.embeddings.projection import Projection


class PCA(Projection):
    """Projects vectors on their leading principal directions, z = (x - mu) U, without rescaling.

    U are the eigenvectors of the covariance of the rows it is fitted on, by descending eigenvalue.
    Use it to shorten vectors of a model that was not trained for truncation; `Whitening` also
    equalises the variances. Fit it on training items only.

    Attributes:
        mean: ``[d]`` float64, after `fit`.
        projection: ``[d, k]`` float64, after `fit`.

    Example:
        >>> import numpy as np
        >>> x = np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        >>> PCA(1).fit(x).transform(x)[:, 0].tolist()
        [3.0, -3.0, 0.0, 0.0]
    """

    kind = "pca"

    def _scale(self, values: np.ndarray) -> np.ndarray:
        return np.ones_like(values)
