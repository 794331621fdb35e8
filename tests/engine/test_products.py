"""Products of dense layers are those of the plain formulas, into however many pieces they are cut."""

import pytest
import torch

from cifar_tui.engine import products

FEATURES = 3072


@pytest.mark.parametrize("threads", [1, 2, 3, 5])  # features cannot be cut into 5
def test_the_first_layer_is_the_same_in_any_number_of_pieces(threads: int) -> None:
    torch.manual_seed(0)
    exact = {"dtype": torch.float64}
    rows, bias, grad = torch.rand(7, FEATURES, **exact), torch.rand(12, **exact), torch.rand(7, 12, **exact)
    weight, place = torch.rand(FEATURES, 12, **exact).t(), torch.empty(FEATURES, 12, **exact).t()
    out = products.first_dense(rows, weight, bias, False, threads)
    torch.testing.assert_close(out, rows @ weight.t() + bias)
    made = products.first_weight(grad, rows, place, False, threads)
    assert made.data_ptr() == place.data_ptr()
    torch.testing.assert_close(place, grad.t() @ rows)
    assert products.pieces(rows, threads) == (1 if threads == 5 else threads)


@pytest.mark.skipif(not products.HAS_ONEDNN, reason="this torch has no oneDNN")
def test_gradients_by_onednn_lie_as_the_weights_do() -> None:
    torch.manual_seed(0)
    rows, grad = torch.rand(20, FEATURES), torch.rand(20, 80)
    made = products.first_weight(grad, rows, torch.empty(FEATURES, 80).t(), True, 2)
    assert made.t().is_contiguous()  # the optimizer goes through it number by number
    torch.testing.assert_close(made, grad.t() @ rows)


@pytest.mark.parametrize("onednn", [False, products.HAS_ONEDNN])
def test_weights_of_all_hidden_layers_are_those_of_each(onednn: bool) -> None:
    torch.manual_seed(0)
    grads, rows = torch.rand(2, 100, 200), torch.rand(2, 100, 200)
    assert products.is_wide(rows[0], 200, onednn) == onednn
    place = torch.empty(2, 200, 200)
    products.hidden_weights(grads, rows, place, onednn)
    for layer in range(2):
        torch.testing.assert_close(place[layer], grads[layer].t() @ rows[layer])
