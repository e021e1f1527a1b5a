"""Build `mnist_bp` from the facts in settings.ini."""
import re
from configparser import ConfigParser
from pathlib import Path

from setuptools import setup

root = Path(__file__).parent
config = ConfigParser(interpolation=None)
config.read(root/'settings.ini', encoding='utf-8')
facts = config['DEFAULT']
package = facts['lib_name']
url = f"https://github.com/{facts['user']}/{facts['repo']}"
version = re.search(r'__version__ = "(.+)"', (root/package/'__init__.py').read_text(encoding='utf-8'))[1]

setup(
    name=package,
    version=version,
    description=facts['description'],
    long_description=(root/'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    keywords=facts['keywords'].split(),
    author=facts['author'],
    author_email=facts['author_email'],
    license=facts['license'],
    license_files=['LICENSE', 'NOTICE'],
    url=url,
    project_urls={'Source': url, 'Issues': f'{url}/issues', 'Changelog': f"{url}/blob/{facts['branch']}/CHANGELOG.md"},
    classifiers=['Intended Audience :: Education', 'Programming Language :: Python :: 3',
                 'Topic :: Scientific/Engineering :: Artificial Intelligence'],
    packages=[package],
    package_data={package: ['mnist.npz']},
    python_requires=f">={facts['min_python']}",
    install_requires=facts['requirements'].split(),
    extras_require={'dev': facts['dev_requirements'].split()},
    entry_points={'console_scripts': facts['console_scripts'].split()},
)
