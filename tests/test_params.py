"""The flat matrix of parameters and its layout."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from vaestudy.params import ALIGNMENT, Layout, Parameter


@given(sizes=st.lists(st.integers(1, 40), min_size=2, max_size=6), rows=st.integers(1, 3))
def test_packing_and_viewing_are_inverse(sizes: list[int], rows: int) -> None:
    parameters = [Parameter(f"{('encoder', 'decoder')[i % 2]}.{i}", (size,)) for i, size in enumerate(sizes)]
    layout = Layout(parameters)
    flat = torch.randn(rows, layout.width)
    packed = layout.pack(list(layout.views(flat).values()))
    for name, view in layout.views(flat).items():
        assert torch.equal(layout.views(packed)[name], view)
    assert layout.count == sum(sizes)


def test_initial_parameters_lie_within_their_bounds() -> None:
    layout = Layout([Parameter("encoder.w", (100,), bound=0.2), Parameter("decoder.b", (3,), value=(1.0, 2.0, 3.0))])
    row = layout.initial(torch.Generator().manual_seed(0), torch.float32)
    views = layout.views(row[None])
    assert views["encoder.w"].abs().max() <= 0.2
    assert views["decoder.b"][0].tolist() == [1.0, 2.0, 3.0]


def test_a_view_shares_the_rows_memory() -> None:
    layout = Layout([Parameter("encoder.w", (2, 3)), Parameter("decoder.w", (3,))])
    flat = torch.zeros(2, layout.width)
    layout.views(flat)["decoder.w"][1] = 1.0
    assert flat[1, layout.columns("decoder")][:3].eq(1).all()
    assert flat[0].eq(0).all()


@given(sizes=st.lists(st.integers(1, 40), min_size=2, max_size=6))
def test_the_encoder_comes_first_and_every_parameter_starts_on_a_boundary(sizes: list[int]) -> None:
    layout = Layout([Parameter(f"{('decoder', 'encoder')[i % 2]}.{i}", (size,)) for i, size in enumerate(sizes)])
    encoder, decoder = layout.columns("encoder"), layout.columns("decoder")
    assert (encoder.start, encoder.stop, decoder.stop) == (0, decoder.start, layout.width)
    assert all(offset % ALIGNMENT == 0 for offset in (*layout.offsets.values(), layout.width))
    assert all((offset < encoder.stop) == name.startswith("encoder.") for name, offset in layout.offsets.items())


def test_padding_starts_at_zero_and_is_packed_as_zero() -> None:
    layout = Layout([Parameter("encoder.w", (3,), bound=1.0), Parameter("decoder.w", (5,), bound=1.0)])
    row = layout.initial(torch.Generator().manual_seed(0), torch.float64)
    packed = layout.pack(list(layout.views(torch.ones(1, layout.width)).values()))
    assert int((row != 0).sum()) == int(packed.sum()) == layout.count == 8
