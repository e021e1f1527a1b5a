"""The digits are MNIST's, wherever they come from; and a bad source is refused, whole and in one sentence."""
import gzip
import hashlib
import multiprocessing
import os
import pickle
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch

from mnist_bp import data as d
from conftest import ROOT


def arrays_of(mnist): return [(x.numpy(), y.numpy()) for x, y in zip(mnist[::2], mnist[1::2])]


def python2_pickle(pairs):
    "The opcodes that Python 2's cPickle writes for three pairs of NumPy arrays, in protocol 2: array contents are byte strings."
    def text(raw): return b'T' + struct.pack('<i', len(raw)) + raw if len(raw) > 255 else b'U' + bytes([len(raw)]) + raw
    def number(i): return b'J' + struct.pack('<i', i)
    def shape(numbers): return b'(' + b''.join(map(number, numbers)) + b't'
    def array(a):
        dtype = b'cnumpy\ndtype\n' + text(a.dtype.str[1:].encode()) + number(0) + number(1) + b'\x87R'
        dtype += b'(' + number(3) + text(b'<') + b'NNN' + number(-1) + number(-1) + number(0) + b'tb'
        made = b'cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n' + shape([0]) + text(b'b') + b'\x87R'
        return made + b'(' + number(1) + shape(a.shape) + dtype + b'\x89' + text(a.tobytes()) + b'tb'
    return b'\x80\x02' + b''.join(array(x) + array(y) + b'\x86' for x, y in pairs) + b'\x87.'


def compress(content): return gzip.compress(content, compresslevel=1)


@pytest.fixture(scope='session')
def pkl_gz(data):
    "The content of an `mnist.pkl.gz` as the lesson's was written: by Python 2."
    return compress(python2_pickle(arrays_of(data)))


@pytest.fixture(scope='session')
def bomb(tmp_path_factory):
    "A pickle that leaves a file behind if it is executed, and that file."
    trace = tmp_path_factory.mktemp('bomb')/'executed'
    class Bomb:
        def __reduce__(self): return os.system, (f'touch {trace}',)
    return compress(pickle.dumps(Bomb(), protocol=2)), trace


@pytest.fixture
def server(pkl_gz, bomb):
    "A real HTTP server on loopback: `server.url(name)` for each kind of answer, `server.requests` for what was asked."
    flipped = bytearray(pkl_gz)
    flipped[len(pkl_gz)//2] ^= 1
    answers = {'good': pkl_gz, 'truncated': pkl_gz[:-50_000], 'flipped': bytes(flipped), 'html': b'<!DOCTYPE html><h1>404</h1>', 'bomb': bomb[0],
               'shapes': compress(python2_pickle([(np.zeros((2, 3), np.float32), np.zeros(2, np.int64))]*3))}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.strip('/')
            self.server.requests.append(name)
            if name not in answers and name != 'drop': return self.send_error(404)
            content = answers.get(name, pkl_gz)
            self.send_response(200)
            self.send_header('Content-Length', str(len(content)))
            self.end_headers()
            self.wfile.write(content[:len(content)//2] if name == 'drop' else content)
        def log_message(self, *args): pass

    http = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    http.requests = []
    http.url = lambda name: f'http://127.0.0.1:{http.server_port}/{name}'
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield http
    http.shutdown()


def assert_same(ours, theirs):
    for a, b in zip(ours, theirs): assert a.dtype == b.dtype and torch.equal(a, b)


# The packed file

def test_the_packed_bytes_are_the_official_ones():
    headers = {'images': lambda n: struct.pack('>4i', 2051, n, 28, 28), 'labels': lambda n: struct.pack('>2i', 2049, n)}
    expected = {'train_images': '6bbc9ace898e44ae57da46a324031adb', 'train_labels': 'a25bea736e30d166cdddb491f175f624',
                'test_images': '2646ac647ad5339dbf082846283269ea', 'test_labels': '27ae3e4e09519cfbb04c329615203637'}
    with np.load(ROOT/'mnist_bp'/'mnist.npz', allow_pickle=False) as packed:
        for name, md5 in expected.items():
            idx = headers[name.split('_')[1]](len(packed[name])) + packed[name].tobytes()
            assert hashlib.md5(idx).hexdigest() == md5, name


def test_the_packed_file_is_small():
    assert (ROOT/'mnist_bp'/'mnist.npz').stat().st_size <= 11_500_000


def test_the_six_tensors(data):
    assert [tuple(t.shape) for t in data] == [(50000, 784), (50000,), (10000, 784), (10000,), (10000, 784), (10000,)]
    assert [t.dtype for t in data] == [torch.float32, torch.int64]*3
    assert data.y_train[:5].tolist() == [5, 0, 4, 1, 9] and data.y_valid[:3].tolist() == [3, 8, 6] and data.y_valid[-3:].tolist() == [5, 6, 8]
    assert data.x_train.max() == 255/256 and data.x_train.is_contiguous()


def test_loading_takes_at_most_half_the_time_of_the_pickle(tmp_path, pkl_gz):
    (tmp_path/'mnist.pkl.gz').write_bytes(pkl_gz)
    def lesson():
        with gzip.open(tmp_path/'mnist.pkl.gz') as f: pairs = pickle.load(f, encoding='latin-1')
        return [torch.from_numpy(part) for pair in pairs for part in pair]
    def seconds(f):
        start = time.perf_counter(); f()
        return time.perf_counter() - start
    ratios = sorted(seconds(d.load_mnist) / seconds(lesson) for _ in range(7))
    assert ratios[3] <= .5, ratios


def test_a_damaged_packed_file_is_refused(tmp_path):
    content = (ROOT/'mnist_bp'/'mnist.npz').read_bytes()
    flipped = bytearray(content)
    flipped[len(content)//2] ^= 1
    for damaged in (content[:-1000], bytes(flipped), b'', b'PK'):
        (tmp_path/'mnist.npz').write_bytes(damaged)
        with pytest.raises(ValueError, match='is damaged .* Install mnist_bp again'): d.read_packed(tmp_path/'mnist.npz')


def test_changed_content_is_refused(tmp_path):
    with np.load(ROOT/'mnist_bp'/'mnist.npz') as packed: arrays = [packed[name].copy() for name in packed.files]
    arrays[1][7] ^= 1
    with pytest.raises(ValueError, match='here does not hold the MNIST digits: the SHA-256'): d.check_content(arrays, 'here')


# The lesson's pickle

@pytest.mark.parametrize('protocol', ['python 2', 2, 3, 4, 5])
def test_a_pickle_gives_the_same_bits(tmp_path, data, protocol):
    pairs = arrays_of(data)
    content = python2_pickle(pairs) if protocol == 'python 2' else pickle.dumps(pairs, protocol)
    (tmp_path/'mnist.pkl.gz').write_bytes(compress(content))
    assert_same(d.load_mnist(tmp_path/'mnist.pkl.gz'), data)


def test_the_test_pickle_is_one_that_pickle_itself_can_read(pkl_gz, data):
    for (x, y), (ours_x, ours_y) in zip(pickle.loads(gzip.decompress(pkl_gz), encoding='latin-1'), arrays_of(data)):
        assert np.array_equal(x, ours_x) and np.array_equal(y, ours_y) and (x.dtype, y.dtype) == (ours_x.dtype, ours_y.dtype)


BAD_PICKLES = {
    'a list of nothing': pickle.dumps([]),
    'numbers': pickle.dumps(42),
    'an object array': pickle.dumps([(np.array([print]), np.zeros(1, np.int64))]*3),
    'a structured dtype': pickle.dumps([(np.zeros(2, 'f4,i8'), np.zeros(2, np.int64))]*3),
    'pixels that are not numbers': pickle.dumps([(np.full((2, 784), np.nan, np.float32), np.zeros(2, np.int64))]*3),
    'a name of several lines': b'\x80\x04\x8c\x05numpy\x8c\x04a\nb\n\x93.',
    'wrong pixels': pickle.dumps([(np.full((2, 784), .3, np.float32), np.zeros(2, np.int64))]*3),
    'a shape beyond its bytes': python2_pickle([(np.zeros((2, 3), np.float32), np.zeros(2, np.int64))]*3).replace(struct.pack('<i', 3) + b't\x63', struct.pack('<i', 2**30) + b't\x63'),
    'a memo of two billion entries': b'\x80\x02]r\xff\xff\xff\x7f.',
    'a byte string that claims to be huge': b'\x80\x04\x8e' + struct.pack('<Q', 2**60) + b'x.',
    'nothing': b'',
    'eval': b"c__builtin__\neval\n(S'1'\ntR.",
    'a dotted name': pickle.dumps([]).replace(b']', b'\x8c\x05numpy\x8c\x10core.multiarray\x93'),
}


@pytest.mark.parametrize('name', BAD_PICKLES)
def test_a_bad_pickle_is_refused_in_one_sentence(tmp_path, name):
    path = tmp_path/'mnist.pkl.gz'
    path.write_bytes(compress(BAD_PICKLES[name]))
    with pytest.raises(ValueError, match='(cannot read .* as mnist.pkl.gz|does not hold the MNIST digits)') as e: d.load_mnist(path)
    assert str(path) in str(e.value) and 'get it again' in str(e.value) and '\n' not in str(e.value)


def test_a_file_that_unpacks_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(d, 'PICKLE_LIMIT', 1000)
    (tmp_path/'mnist.pkl.gz').write_bytes(compress(bytes(2000)))
    with pytest.raises(ValueError, match='unpacks to more than 1,000 bytes'): d.load_mnist(tmp_path/'mnist.pkl.gz')


def test_a_missing_file_and_a_folder_say_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match='no file .*download_mnist'): d.load_mnist(tmp_path/'nowhere.pkl.gz')
    with pytest.raises(IsADirectoryError, match='is a folder'): d.load_mnist(tmp_path)


# The download

def test_a_download_gives_the_digits_and_is_kept(tmp_path, server, data):
    path = d.download_mnist(tmp_path/'data', [server.url('good')])
    assert path == tmp_path/'data'/'mnist.pkl.gz' and os.listdir(path.parent) == ['mnist.pkl.gz']
    assert_same(d.load_mnist(path), data)
    assert d.download_mnist(tmp_path/'data', [server.url('good')]) == path and server.requests == ['good']


@pytest.mark.parametrize('answer', ['truncated', 'flipped', 'html', 'bomb', 'shapes', '404', 'drop'])
def test_a_bad_answer_is_refused_and_leaves_nothing(tmp_path, server, bomb, answer):
    with pytest.raises(OSError, match=f'could not download .*{server.url(answer)}.*load_mnist') as e: d.download_mnist(tmp_path, [server.url(answer)], retries=0)
    assert os.listdir(tmp_path) == [] and '\n' not in str(e.value)
    assert not bomb[1].exists(), 'foreign code was executed'


def test_the_next_mirror_is_tried(tmp_path, server):
    assert d.download_mnist(tmp_path, [server.url('404'), server.url('html'), server.url('good')], retries=0).exists()
    assert server.requests == ['404', 'html', 'good'] and os.listdir(tmp_path) == ['mnist.pkl.gz']


def test_a_broken_connection_is_tried_again(tmp_path, server):
    with pytest.raises(OSError): d.download_mnist(tmp_path, [server.url('drop')], retries=1)
    assert server.requests == ['drop', 'drop']


def test_a_damaged_copy_is_fetched_again(tmp_path, server, data):
    (tmp_path/'mnist.pkl.gz').write_bytes(b'half a file')
    assert_same(d.load_mnist(d.download_mnist(tmp_path, [server.url('good')])), data)


def test_a_failed_download_keeps_the_good_copy(tmp_path, server, pkl_gz):
    (tmp_path/'mnist.pkl.gz').write_bytes(pkl_gz)
    d.download_mnist(tmp_path, [server.url('404')])
    assert (tmp_path/'mnist.pkl.gz').read_bytes() == pkl_gz and server.requests == []


def test_an_unwritable_folder_is_named(tmp_path, server):
    (tmp_path/'file').write_text('in the way')
    for folder in (tmp_path/'file', tmp_path/'file'/'data', '/proc/mnist'):
        with pytest.raises(OSError, match=f'cannot write in the folder {folder}'): d.download_mnist(folder, [server.url('good')])
    assert server.requests == []


def test_two_processes_may_download_at_once(tmp_path, server):
    with multiprocessing.get_context('spawn').Pool(2) as pool:
        paths = pool.starmap(d.download_mnist, [(tmp_path, [server.url('good')])]*2)
    assert paths == [tmp_path/'mnist.pkl.gz']*2 and os.listdir(tmp_path) == ['mnist.pkl.gz']
    d.load_mnist(paths[0])
