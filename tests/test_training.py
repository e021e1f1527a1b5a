"""What chapter 07 claims of training, beyond what its cells show."""
import pytest
import torch

from mnist_bp.training import fit, make_mlp


@pytest.mark.parametrize('sizes, options, least', [
    ((784, 50, 10), {}, 97.4),
    ((784, 512, 10), dict(epochs=8, bs=200, lr=.4), 98.3),
])
def test_the_mean_validation_accuracy_of_three_seeds(data, sizes, options, least):
    runs = []
    for seed in range(3):
        torch.manual_seed(seed)
        runs.append(100 * fit(make_mlp(*sizes), data, **options)[-1].accuracy)
    print(sizes, runs)
    assert sum(runs)/3 >= least, runs
