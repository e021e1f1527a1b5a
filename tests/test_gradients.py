"""Every handwritten gradient is the one that PyTorch's autograd finds, for random sizes and values, in float64 and float32."""
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch.nn import functional as F

from mnist_bp import autograd, backward, forward, gradient_check, layers, log_softmax
from mnist_bp.mse import mse

sizes = st.integers(1, 64)
seeds = st.integers(0, 2**32 - 1)
dtypes = st.sampled_from([torch.float64, torch.float32])
# float64: sums of at most 64 products agree to some hundred roundings. float32: the same, with its larger eps, which is test_grad's default.
quick = settings(max_examples=150, deadline=None, derandomize=True)


def rand(*shape, dtype): return torch.randn(*shape, dtype=torch.float64).to(dtype)


def autograd_of(f, tensors, g=None):
    "The gradients of `f(*tensors)` by PyTorch, from the gradient `g` of its output."
    leaves = [t.detach().clone().requires_grad_() for t in tensors]
    return torch.autograd.grad(f(*leaves), leaves, g)


def assert_grads(tensors, expected):
    for t, e in zip(tensors, expected): gradient_check.test_grad(t.g, e)


@quick
@given(sizes, sizes, sizes, seeds, dtypes)
def test_lin(n, m, nh, seed, dtype):
    torch.manual_seed(seed)
    x, w, b = inputs = rand(n, m, dtype=dtype), rand(m, nh, dtype=dtype), rand(nh, dtype=dtype)
    out = forward.lin(*inputs)
    out.g = rand(n, nh, dtype=dtype)
    backward.lin_grad(x, out, w, b)
    assert_grads(inputs, autograd_of(forward.lin, inputs, out.g))


@quick
@given(sizes, sizes, seeds, dtypes)
def test_relu_with_zeros_of_both_signs(n, nh, seed, dtype):
    torch.manual_seed(seed)
    x = rand(n, nh, dtype=dtype) * torch.randint(-1, 2, (n, nh))
    out = forward.relu(x)
    out.g = rand(n, nh, dtype=dtype)
    backward.relu_grad(x, out)
    assert_grads([x], autograd_of(torch.relu, [x], out.g))


@quick
@given(sizes, seeds, dtypes)
def test_mse(n, seed, dtype):
    torch.manual_seed(seed)
    out, targ = rand(n, 1, dtype=dtype), rand(n, dtype=dtype)
    backward.mse_grad(out, targ)
    assert_grads([out], autograd_of(lambda out: F.mse_loss(out[:, 0], targ), [out]))


@quick
@given(sizes, sizes, seeds, dtypes, st.sampled_from([1e-3, 1., 30.]))
def test_log_softmax_and_cross_entropy(n, c, seed, dtype, scale):
    torch.manual_seed(seed)
    x, targ = scale * rand(n, c, dtype=dtype), torch.randint(c, (n,))
    out = log_softmax.log_softmax(x)
    out.g = rand(n, c, dtype=dtype)
    log_softmax.log_softmax_grad(x, out)
    expected, = autograd_of(lambda x: F.log_softmax(x, -1), [x], out.g)
    # Each entry is a difference of terms as large as out.g: where they cancel, the rounding is relative to those.
    assert (x.g - expected).abs().max() <= 1000 * torch.finfo(dtype).eps * max(expected.abs().max(), out.g.abs().max())

    if c > 1: gradient_check.test_grad(log_softmax.cross_entropy(x, targ), F.cross_entropy(x, targ))
    log_softmax.cross_entropy_grad(x, targ)
    expected, = autograd_of(lambda x: F.cross_entropy(x, targ), [x])
    assert (x.g - expected).abs().max() <= 1000 * torch.finfo(dtype).eps / n


@quick
@given(sizes, sizes, sizes, seeds)
def test_forward_and_backward(n, m, nh, seed):
    torch.manual_seed(seed)
    x, targ = rand(n, m, dtype=torch.float64), rand(n, dtype=torch.float64)
    params = [p.double() for p in forward.init_params(m, nh)]
    backward.forward_and_backward(x, targ, *params)
    assert_grads([x, *params], autograd_of(lambda x, *params: mse(forward.mlp(x, *params), targ), [x, *params]))


@quick
@given(st.lists(sizes, min_size=2, max_size=5), sizes, seeds)
def test_a_model_of_any_depth(widths, n, seed):
    torch.manual_seed(seed)
    params = [rand(*shape, dtype=torch.float64) for m, nh in zip(widths, widths[1:]) for shape in ((m, nh), (nh,))]
    x, targ = rand(n, widths[0], dtype=torch.float64), torch.randint(widths[-1], (n,))
    model_layers = [layer for i in range(0, len(params), 2) for layer in (layers.Lin(*params[i:i+2]), layers.Relu())][:-1]
    model = layers.Model(model_layers, log_softmax.CrossEntropy())
    model(x, targ)
    model.backward()

    def judge(x, *params):
        for i in range(0, len(params), 2): x = (x.relu() if i else x) @ params[i] + params[i+1]
        return F.cross_entropy(x, targ)
    expected = autograd_of(judge, [x, *params])
    largest = max(e.abs().max() for e in expected)
    for t, e in zip([x, *params], expected): assert t.g.shape == e.shape and (t.g - e).abs().max() <= 1e-12 * max(largest, 1)


@quick
@given(sizes, sizes, sizes, seeds)
def test_our_tape(n, m, nh, seed):
    torch.manual_seed(seed)
    tensors = [rand(*shape, dtype=torch.float64) for shape in ((n, m), (m, nh), (nh,))]
    def f(x, w, b):
        z = (x@w + b).relu()
        return ((z.exp() + 1).log() * z - z / ((z*z).sum(-1, keepdim=True) + 1)).mean()
    variables = [autograd.Var(t) for t in tensors]
    f(*[v * .1 for v in variables]).backward()
    for v, e in zip(variables, autograd_of(lambda *ts: f(*[t * .1 for t in ts]), tensors)): gradient_check.test_grad(v.g, e)


def test_views_and_strides_do_not_matter():
    torch.manual_seed(0)
    x, w, b = rand(5, 8, dtype=torch.float64)[:, ::2], rand(3, 4, dtype=torch.float64).t(), rand(1, dtype=torch.float64).expand(3)
    out = forward.lin(x, w, b)
    out.g = rand(1, 3, dtype=torch.float64).expand(5, 3)
    backward.lin_grad(x, out, w, b)
    assert_grads([x, w, b], autograd_of(forward.lin, [x, w, b], out.g))
    gradient_check.test_grad(gradient_check.numeric_grad(lambda x: (x**2).sum(), x), 2*x, rtol=1e-7)


def test_a_long_chain_does_not_exhaust_the_stack():
    v = x = autograd.Var(torch.tensor(1.))
    for _ in range(20_000): v = v + .001
    v.backward()
    assert x.g == 1.


@pytest.mark.parametrize('output, targ', [((3, 1), (3, 1)), ((3,), (3,)), ((3, 2), (3,)), ((1, 3), (3,)), ((3, 1), (4,)), ((0, 1), (0,)), ((3, 1), ())])
def test_mse_never_broadcasts(output, targ):
    with pytest.raises(ValueError, match='mse needs'): mse(torch.zeros(output), torch.zeros(targ))


@pytest.mark.parametrize('logits, targ', [
    (torch.zeros(3, 10), torch.tensor([0, 10, 1])), (torch.zeros(3, 10), torch.tensor([0, -1, 1])), (torch.zeros(3, 10), torch.zeros(3)),
    (torch.zeros(3, 10), torch.zeros(3, dtype=torch.int32)), (torch.zeros(3, 10), torch.zeros(3, 1, dtype=torch.int64)),
    (torch.zeros(10), torch.tensor([1])), (torch.zeros(0, 10), torch.zeros(0, dtype=torch.int64)), (torch.zeros(3, 10), torch.tensor([True]*3))])
def test_targets_that_name_no_class_are_refused(logits, targ):
    with pytest.raises(ValueError, match='target|example'): log_softmax.cross_entropy(logits, targ)


@pytest.mark.parametrize('dtype, largest', [(torch.float16, 6e4), (torch.float32, 1e4), (torch.float64, 1e4)])
def test_log_softmax_holds_for_huge_logits(dtype, largest):
    x = torch.tensor([[largest, 0., -largest], [-largest]*3, [0., 0., 0.]], dtype=dtype)
    if dtype == torch.float16: x = x.clamp(-3e4, 3e4)      # the difference of two logits must itself be a float16
    out = log_softmax.log_softmax(x)
    assert out.isfinite().all()
    out.g = torch.ones_like(x)
    log_softmax.log_softmax_grad(x, out)
    log_softmax.cross_entropy_grad(x, torch.tensor([2, 0, 1]))
    assert x.g.isfinite().all()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_softmax_of_logits_that_are_large_and_close(dtype):
    x = torch.tensor([[1000., 992., 0.], [3e4, 3e4, 0.]], dtype=dtype)
    p = log_softmax.softmax(x)
    assert (p.double() - torch.softmax(x.double(), -1)).abs().max() <= 2*torch.finfo(dtype).eps
    assert abs(log_softmax.cross_entropy(x, torch.tensor([0, 1])).double() - F.cross_entropy(x.double(), torch.tensor([0, 1]))) <= 2*torch.finfo(dtype).eps
    log_softmax.cross_entropy_grad(x, torch.tensor([0, 1]))
    assert (x.g[1].double() - torch.tensor([.25, -.25, 0.])).abs().max() <= torch.finfo(dtype).eps


@pytest.mark.parametrize('targ', [[0, 10, 1], [0, -1, 1], [0, 1]])
def test_a_gradient_of_targets_that_name_no_class_is_refused(targ):
    with pytest.raises(ValueError, match='target'): log_softmax.cross_entropy_grad(torch.zeros(3, 10), torch.tensor(targ))
