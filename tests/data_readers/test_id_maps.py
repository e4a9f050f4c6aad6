import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from samodal import masks
from samodal.data.id_maps import encode_ids

sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))


@given(sizes.flatmap(lambda size: arrays(np.uint16, size, elements=st.sampled_from([0, 1, 2, 300, 65535]))))
def test_one_pass_gives_the_masks_of_every_id(ids):
    wanted = {int(value): masks.encode(ids == value) for value in np.unique(ids) if value}
    assert encode_ids(ids) == wanted
