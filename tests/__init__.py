"""The tests. Batteries outside test modules show their failed comparisons as tests do."""

import pytest

pytest.register_assert_rewrite("tests.contracts")
