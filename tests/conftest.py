"""What several tests share."""
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from mnist_bp.data import load_mnist

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = sorted((ROOT/'nbs').glob('*.ipynb'))


@pytest.fixture(scope='session')
def data():
    "All the digits."
    return load_mnist()


@pytest.fixture(scope='session')
def facts():
    "The facts in settings.ini."
    config = ConfigParser(interpolation=None)
    config.read(ROOT/'settings.ini', encoding='utf-8')
    return config['DEFAULT']


@pytest.fixture
def mnist_bp_command():
    "Run `mnist-bp` as a user does: a process of its own, `(exit code, stdout, stderr)`."
    def run(*args, **options):
        done = subprocess.run([Path(sys.executable).with_name('mnist-bp'), *map(str, args)], capture_output=True, text=True, timeout=300, **options)
        return done.returncode, done.stdout, done.stderr
    return run
