"""PCA: the directions in which vectors differ most."""

import numpy as np

from tfrec_fusion.embeddings.projection import Projection


class PCA(Projection):
    """z = (x - mu) U, kept to the leading directions; lengths and distances stay as they were.

    U are the eigenvectors of the covariance of the rows it is fitted on, by falling eigenvalue.
    Pick it to shrink vectors of a model that was not trained for truncation; `Whitening` spreads
    the directions evenly on top. Fit it on training items only.

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
