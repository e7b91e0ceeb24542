import pytest
from tests.modelserver.conftest import *
from tests.modelserver.test_request_log import test_a_reader_never_sees_half_a_file as t
@pytest.mark.parametrize("i", range(12))
def test_x(i, start, models, tmp_path): t(start, models, tmp_path)
