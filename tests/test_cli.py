"""`mnist-bp` as a user meets it: the numbers, the files, the messages, the exit codes."""
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from conftest import ROOT
from mnist_bp.training import accuracy, load_model

QUICK = ('--epochs', 1, '--hidden', 16)


def numbers(stdout): return re.sub(r'[\d.]+ s$', '', stdout, flags=re.M)


def test_train_prints_each_epoch_and_the_test_accuracy(mnist_bp_command):
    code, out, err = mnist_bp_command('train', '--epochs', 2, '--hidden', 16)
    lines = out.splitlines()
    assert (code, err) == (0, '')
    assert lines[0] == '784-16-10 network, 12,730 parameters, on cpu'
    for i in (1, 2): assert re.fullmatch(rf'epoch  {i}   train loss 0\.\d{{4}}   valid loss 0\.\d{{4}}   accuracy 9\d\.\d\d%   \d+\.\d s', lines[i])
    assert re.match(r'test accuracy 9\d\.\d\d%', lines[3])


def test_the_readme_states_what_the_main_job_reaches(mnist_bp_command):
    _, out, _ = mnist_bp_command('train')
    claimed = float(re.search(r'reads ([\d.]+)% of the test digits', (ROOT/'README.md').read_text(encoding='utf-8'))[1])
    reached, seconds = map(float, re.search(r'test accuracy ([\d.]+)%   training took ([\d.]+) s', out).groups())
    assert abs(reached - claimed) <= .25     # other processors round differently
    assert seconds < 60


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(mnist_bp_command):
    first, second, other = (numbers(mnist_bp_command('train', *QUICK, '--seed', seed)[1]) for seed in (1, 1, 2))
    assert first == second != other


def test_the_saved_model_is_the_trained_one(mnist_bp_command, tmp_path, data):
    code, out, _ = mnist_bp_command('train', *QUICK, '--save', tmp_path/'m.safetensors', '--plot', tmp_path/'c.png')
    model = load_model(tmp_path/'m.safetensors')
    assert code == 0 and sorted(p.name for p in tmp_path.iterdir()) == ['c.png', 'm.safetensors']
    assert f'test accuracy {accuracy(model.predict(data.x_test), data.y_test):.2%}' in out
    assert (tmp_path/'c.png').read_bytes().startswith(b'\x89PNG')


def test_several_hidden_layers(mnist_bp_command):
    code, out, _ = mnist_bp_command('train', '--epochs', 1, '--hidden', 16, 12)
    assert code == 0 and out.startswith('784-16-12-10 network')


def test_check_passes_for_every_formula(mnist_bp_command):
    code, out, err = mnist_bp_command('check')
    assert (code, err) == (0, '') and out.endswith('7 gradients checked, 0 wrong\n') and out.count(' ok\n') == 7


def test_check_fails_when_a_gradient_is_wrong():
    program = ('from mnist_bp import gradient_check, cli\n'
               'def wrong(x, out): x.g = (x >= -1) * out.g\n'
               'gradient_check.relu_grad = wrong\n'
               'raise SystemExit(cli.main(["check"]))')
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert done.returncode == 1 and re.search(r'^relu .* WRONG$', done.stdout, re.M) and '7 gradients checked, 1 wrong' in done.stdout


@pytest.mark.parametrize('args', ['--help', 'train --help', 'check --help'])
def test_help(mnist_bp_command, args):
    code, out, err = mnist_bp_command(*args.split())
    assert (code, err) == (0, '') and out.startswith('usage: mnist-bp')


def test_version(mnist_bp_command):
    import mnist_bp
    assert mnist_bp_command('--version')[1] == f'mnist_bp {mnist_bp.__version__}\n'


@pytest.mark.parametrize('args, message', [
    ('', 'the following arguments are required: command'),
    ('fly', "invalid choice: 'fly'"),
    ('train --epochs 0', "--epochs: needs a whole number from 1 up, got '0'"),
    ('train --epochs 1.5', "--epochs: needs a whole number from 1 up, got '1.5'"),
    ('train --bs -3', "--bs: needs a whole number from 1 up, got '-3'"),
    ('train --hidden', '--hidden: expected at least one argument'),
    ('train --hidden 50 0', "--hidden: needs a whole number from 1 up, got '0'"),
    ('train --lr 0', "--lr: needs a number above 0, got '0'"),
    ('train --lr inf', "--lr: needs a number above 0, got 'inf'"),
    ('train --lr fast', "--lr: needs a number above 0, got 'fast'"),
    ('train --seed -1', "--seed: needs a whole number from 0 to 2**63 - 1, got '-1'"),
    ('train --device abacus', "--device: cannot use the device 'abacus' on this machine"),
    ('train --save model.pkl', "--save: needs a name that ends in .safetensors, got 'model.pkl'"),
    ('train --save no/such/m.safetensors', "--save: there is no folder 'no/such' to write 'm.safetensors' in"),
    ('train --plot curves.docx', "--plot: needs a name that ends in .png or .svg or .pdf, got 'curves.docx'"),
    ('check --seed x', "--seed: needs a whole number from 0 to 2**63 - 1, got 'x'"),
])
def test_an_option_that_cannot_be_right_is_one_line_and_exit_code_2(mnist_bp_command, tmp_path, args, message):
    code, out, err = mnist_bp_command(*args.split(), cwd=tmp_path)
    assert (code, out) == (2, '') and 'Traceback' not in err
    assert message in err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('args, message', [
    (('--lr', '1e6'), 'the steps are too large, try a learning rate below 1000000.0'),
    (('--hidden', str(10**9)), 'memory'),
])
def test_a_failure_is_one_line_and_exit_code_1(mnist_bp_command, tmp_path, args, message):
    code, _, err = mnist_bp_command('train', *QUICK, *args, '--save', tmp_path/'m.safetensors')
    assert code == 1 and err.startswith('mnist-bp train: ') and message in err and err.count('\n') == 1
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_stops_with_a_word_and_keeps_the_old_model(tmp_path):
    (tmp_path/'m.safetensors').write_bytes(b'the old model')
    command = [Path(sys.executable).with_name('mnist-bp'), 'train', '--epochs', '1000', '--save', tmp_path/'m.safetensors']
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.readline(); process.stdout.readline()        # the network, the first epoch: it is training
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and err.strip() == 'mnist-bp: stopped'
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [('m.safetensors', b'the old model')]


def test_a_reader_that_leaves_is_no_error():
    done = subprocess.run(f'"{Path(sys.executable).with_name("mnist-bp")}" check | head -1', shell=True, capture_output=True, text=True)
    assert 'Traceback' not in done.stderr


@pytest.mark.parametrize('content, message', [
    (b'', 'is not a safetensors file, or is damaged'), (b'\x80\x04N.', 'is not a safetensors file, or is damaged'),
    ({}, 'does not hold the parameters'), ({'weights': torch.zeros(3)}, 'does not hold the parameters'),
    ({'w1': torch.zeros(4, 3), 'b1': torch.zeros(2)}, 'does not hold the parameters'),
    ({'w1': torch.zeros(4, 3), 'b1': torch.zeros(3), 'w2': torch.zeros(5, 2), 'b2': torch.zeros(2)}, 'does not hold the parameters'),
])
def test_a_file_that_is_no_model_is_refused(tmp_path, content, message):
    from safetensors.torch import save
    (tmp_path/'m.safetensors').write_bytes(content if isinstance(content, bytes) else save(content))
    with pytest.raises(ValueError, match=message): load_model(tmp_path/'m.safetensors')
