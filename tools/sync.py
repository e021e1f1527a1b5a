"""Bring what follows from the notebooks and settings.ini into step with them.

    python tools/sync.py           rewrite: links and badges, alt texts, the package, clean notebooks
    python tools/sync.py --check   the same, but fail and show what was out of step
"""
import difflib
import json
import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

root = Path(__file__).resolve().parent.parent
facts = ConfigParser(interpolation=None)
facts.read(root/'settings.ini', encoding='utf-8')
user, repo, branch = (facts['DEFAULT'][k] for k in ('user', 'repo', 'branch'))

# Each way in which a text names this repository, and how it reads with the names in settings.ini.
# A bare https://github.com/owner/repo is left alone: it may be somebody else's.
LINKS = {
    r'colab\.research\.google\.com/github/[^/]+/[^/]+/blob/[^/]+/': f'colab.research.google.com/github/{user}/{repo}/blob/{branch}/',
    r"git\+https://github\.com/[\w.-]+/[\w.-]+@[\w./-]+": f'git+https://github.com/{user}/{repo}@{branch}',
    r'git clone https://github\.com/\S+\ncd \S+': f'git clone https://github.com/{user}/{repo}\ncd {repo}',
    r'https://github\.com/[^/\s]+/[^/\s]+/blob/[^/\s]+/nbs/': f'https://github.com/{user}/{repo}/blob/{branch}/nbs/',
}


def relink(text):
    "`text` with every link to this repository pointing to the one in settings.ini."
    for pattern, link in LINKS.items(): text = re.sub(pattern, link, text)
    return text


def alt_texts(notebook):
    "Copy each cell's `#| fig-alt:` into its pictures' metadata, where Jupyter looks for it."
    for cell in notebook['cells']:
        alt = re.search(r'^#\| fig-alt: (".*")$', ''.join(cell['source']), re.M)
        for output in cell.get('outputs', []):
            if alt and 'image/png' in output.get('data', {}):
                output['metadata'] = {'image/png': {'alt': json.loads(alt[1])}}


def sync():
    "Rewrite everything that follows from the notebooks and settings.ini."
    for page in root.glob('*.md'): page.write_text(relink(page.read_text(encoding='utf-8')), encoding='utf-8')
    for path in sorted((root/'nbs').glob('*.ipynb')):
        notebook = json.loads(relink(path.read_text(encoding='utf-8')))
        alt_texts(notebook)
        path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + '\n', encoding='utf-8')
    for command in 'nbdev-clean', 'nbdev-export':
        subprocess.run([Path(sys.executable).with_name(command)], cwd=root, check=True)


def snapshot():
    "The text of every file that `sync` may write."
    files = [*root.glob('*.md'), *(root/'nbs').glob('*.ipynb'), *(root/'mnist_bp').glob('*.py')]
    return {path.relative_to(root).as_posix(): path.read_text(encoding='utf-8') for path in files}


def check():
    "Sync, and exit with a diff if that changed anything."
    before = snapshot()
    sync()
    after = snapshot()
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    for name in changed:
        lines = [side.get(name, '').splitlines(keepends=True) for side in (before, after)]
        sys.stdout.writelines(difflib.unified_diff(*lines, name, f'{name} (in step)', n=1))
    if changed: sys.exit(f"\nOut of step: {', '.join(changed)}. They are rewritten now: look at them, then commit.")
    print('The package, the links and the alt texts are in step with the notebooks, and the notebooks are clean.')


if __name__ == '__main__': check() if '--check' in sys.argv[1:] else sync()
