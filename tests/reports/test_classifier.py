"""What a report says of a classifier."""

import numpy as np
from sklearn.decomposition import PCA

from genjax.reports import classifier as classifier_report


def test_in_two_dimensions_is_principal_components_with_signs_of_their_own():
  x = np.random.default_rng(0).normal(size=(50, 4)) * [1, 3, 2, 0.5]
  want = PCA(2).fit(x)
  seen, names = classifier_report.in_two_dimensions(x.astype(np.float32))
  turned = np.abs(want.transform(x) * seen).sum(0) / np.abs(
      np.sum(want.transform(x) * seen, 0))
  np.testing.assert_allclose(np.abs(seen), np.abs(want.transform(x)),
                             atol=1e-4)
  np.testing.assert_allclose(turned, 1, rtol=1e-5)  # one sign throughout
  assert f'{want.explained_variance_ratio_[1]:.0%}' in names[1]
  again, _ = classifier_report.in_two_dimensions(x[::-1].astype(np.float32))
  np.testing.assert_allclose(again[::-1], seen, atol=1e-4)


def test_in_two_dimensions_of_one_feature_is_flat():
  seen, _ = classifier_report.in_two_dimensions(np.arange(4.0)[:, None])
  assert seen.shape == (4, 2) and not np.any(seen[:, 1])
