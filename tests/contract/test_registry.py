"""What the registry says of its methods."""

from __future__ import annotations

import pytest
from forms import COHORT, NAMES, create

from phg2st_sc import models
from phg2st_sc.models import Estimator


def test_registry_names_what_the_classes_say():
    assert len(NAMES) >= 8
    for name in NAMES:
        assert models.get_method(name).name == name
        assert isinstance(create(name), Estimator)
        assert not create(name).is_fitted


def test_methods_without_a_cohort_form_say_so(cohort):
    for name in set(NAMES) - set(COHORT):
        with pytest.raises(TypeError, match="no cohort form"):
            create(name).fit(cohort)


def test_unknown_method():
    with pytest.raises(KeyError, match="no method 'krigging': did you mean 'kriging'. Available: 'best_simple'"):
        models.create("krigging")
