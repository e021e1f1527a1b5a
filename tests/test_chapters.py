"""Each chapter runs by itself, in Jupyter, in an empty folder, without a network, with nothing but the built wheel."""
import os
import subprocess
import sys

import nbformat
import pytest
from nbclient import NotebookClient

from conftest import CHAPTERS, ROOT

PRELUDE = '''
import mnist_bp, socket
assert mnist_bp.__file__.startswith({site!r}), mnist_bp.__file__
def no_network(self, address, connect=socket.socket.connect):
    if isinstance(address, tuple) and not str(address[0]).startswith(('127.', '::1', 'localhost')): raise OSError(f'the network is off: {{address}}')
    return connect(self, address)
socket.socket.connect = no_network
'''


@pytest.fixture(scope='session')
def site(tmp_path_factory):
    "A folder with the wheel of this checkout installed in it, and nothing else."
    folder = tmp_path_factory.mktemp('wheel')
    subprocess.run([sys.executable, '-m', 'build', '-o', folder, ROOT], check=True, capture_output=True)      # an sdist, and the wheel from it
    wheel, = folder.glob('*.whl')
    subprocess.run([sys.executable, '-m', 'pip', 'install', '-q', '--no-deps', '--target', folder/'site', wheel], check=True)
    return folder/'site'


def test_the_wheel_holds_the_package_its_data_and_its_licences(site):
    package = {p.name for p in (site/'mnist_bp').iterdir() if p.is_file()}
    assert package == {p.name for p in (ROOT/'mnist_bp').iterdir() if p.is_file()} and 'mnist.npz' in package
    assert {'LICENSE', 'NOTICE'} <= {p.name for p in site.rglob('*.dist-info/licenses/*')}


def pictures(notebook): return [i for i, cell in enumerate(notebook.cells) for o in cell.get('outputs', []) if 'image/png' in o.get('data', {})]


@pytest.mark.parametrize('path', CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_runs_alone(path, site, tmp_path, monkeypatch):
    monkeypatch.setenv('PYTHONPATH', str(site))
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(PRELUDE.format(site=str(site))))
    saved = pictures(notebook)
    NotebookClient(notebook, timeout=300, resources={'metadata': {'path': str(tmp_path)}}).execute()
    assert pictures(notebook) == saved, 'Jupyter shows the pictures that the saved notebook shows'
    assert os.listdir(tmp_path) == [], 'a chapter leaves nothing behind'
