"""Pack the four official MNIST files into the one that the package carries.

    python tools/pack_mnist.py FOLDER

FOLDER holds train-images-idx3-ubyte.gz and its three companions. The result, mnist_bp/mnist.npz, holds the
same bytes as four uint8 arrays, and is the same file, bit for bit, whenever and wherever it is made.
"""
import gzip
import hashlib
import io
import sys
import zipfile
from pathlib import Path

import numpy as np

# MD5 of each unpacked idx file, header included, and the length of that header.
SOURCES = {
    'train_images': ('train-images-idx3-ubyte.gz', '6bbc9ace898e44ae57da46a324031adb', 16),
    'train_labels': ('train-labels-idx1-ubyte.gz', 'a25bea736e30d166cdddb491f175f624', 8),
    'test_images':  ('t10k-images-idx3-ubyte.gz',  '2646ac647ad5339dbf082846283269ea', 16),
    'test_labels':  ('t10k-labels-idx1-ubyte.gz',  '27ae3e4e09519cfbb04c329615203637', 8),
}


def read_idx(path, md5, header):
    "The numbers in an idx file, after checking its bytes: images `(n, 784)`, labels `(n,)`, uint8."
    content = gzip.decompress(path.read_bytes())
    if hashlib.md5(content).hexdigest() != md5: sys.exit(f'{path} is not the official MNIST file: the MD5 of its content should be {md5}')
    numbers = np.frombuffer(content, np.uint8, offset=header)
    return numbers.reshape(-1, 784) if header == 16 else numbers


def pack(folder, target):
    "Write the arrays as `np.savez_compressed` would, at the highest level and with fixed times."
    with zipfile.ZipFile(target, 'w', zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, (source, md5, header) in SOURCES.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, read_idx(folder/source, md5, header), allow_pickle=False)
            info = zipfile.ZipInfo(f'{name}.npy', date_time=(1998, 1, 1, 0, 0, 0))
            archive.writestr(info, member.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9)


if __name__ == '__main__':
    if len(sys.argv) != 2: sys.exit(__doc__)
    target = Path(__file__).resolve().parent.parent/'mnist_bp'/'mnist.npz'
    pack(Path(sys.argv[1]), target)
    print(f'{target}: {target.stat().st_size:,} bytes')
