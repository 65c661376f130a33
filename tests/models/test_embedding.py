"""The embedding's gradient as a matrix product, held against torch's own."""

import pytest
import torch
from torch import nn

from gen.models import embedding
from gen.models.embedding import Embedding, _Rows, summed_by_token

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="NEEDS CUDA: torch's gradient repeats elsewhere")


@pytest.mark.parametrize("part", [1 << 24, 50])  # of one-hot rows: all at once, and five tokens at a time
def test_the_product_is_torchs_gradient(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "MAX_ONE_HOT", part)
    torch.manual_seed(0)
    weight = torch.randn(10, 6, dtype=torch.float64, requires_grad=True)
    tokens, pull = torch.randint(10, (7, 3)), torch.randn(7, 3, 6, dtype=torch.float64)

    looked = _Rows.apply(weight, tokens)  # type: ignore[no-untyped-call]
    wanted = nn.functional.embedding(tokens, weight)

    assert torch.equal(looked, wanted)
    (ours,) = torch.autograd.grad((looked * pull).sum(), weight)
    (torchs,) = torch.autograd.grad((wanted * pull).sum(), weight)
    torch.testing.assert_close(ours, torchs)


def test_a_token_that_does_not_occur_has_no_gradient() -> None:
    found = summed_by_token(torch.ones(4, 2), torch.tensor([3, 3, 0, 3]), 5)
    assert found.tolist() == [[1, 1], [0, 0], [0, 0], [3, 3], [0, 0]]


@needs_cuda
def test_the_gradient_repeats_on_a_gpu() -> None:
    layer = Embedding(67, 128).cuda()
    tokens, pull = torch.randint(67, (64, 128)).cuda(), torch.randn(64, 128, 128).cuda()
    found = [torch.autograd.grad((layer(tokens) * pull).sum(), layer.weight)[0] for _ in range(20)]
    assert all(torch.equal(found[0], other) for other in found[1:])
