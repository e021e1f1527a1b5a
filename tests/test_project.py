"""The project holds together: facts stand once, chapters are complete, arrows point up."""
import ast
import json
import re
import sys

import pytest

from conftest import CHAPTERS, ROOT

if sys.version_info >= (3, 11): import tomllib
else: import tomli as tomllib


def cells(path): return json.loads(path.read_text(encoding='utf-8'))['cells']
def source(cell): return ''.join(cell['source'])
chapter = pytest.mark.parametrize('path', CHAPTERS, ids=lambda path: path.stem)


def test_the_second_copies_of_a_fact_agree_with_settings_ini(facts):
    nbdev = tomllib.loads((ROOT/'pyproject.toml').read_text(encoding='utf-8'))['tool']['nbdev']
    assert nbdev['lib_path'] == nbdev['title'] == facts['lib_name']
    assert (ROOT/facts['lib_name']/'__init__.py').exists()
    assert f"Python {facts['min_python']} or newer" in (ROOT/'README.md').read_text(encoding='utf-8')
    assert facts['min_python'].replace('.', ', ') in (ROOT/'Makefile').read_text(encoding='utf-8')


def test_the_constraints_satisfy_the_requirements(facts):
    from packaging.requirements import Requirement
    pins = [Requirement(line) for line in (ROOT/'constraints.txt').read_text().splitlines() if line and line[0] != '#']
    for text in (facts['requirements'] + ' ' + facts['dev_requirements']).split():
        needed = Requirement(text)
        for pin in (pin for pin in pins if pin.name == needed.name):
            assert needed.specifier.contains(str(pin.specifier).lstrip('=')), (text, str(pin))
    assert {Requirement(text).name for text in facts['requirements'].split()} <= {pin.name for pin in pins}


def test_every_page_and_badge_names_the_repository_of_settings_ini(facts):
    home = f"{facts['user']}/{facts['repo']}"
    for path in CHAPTERS:
        badge = f"https://colab.research.google.com/github/{home}/blob/{facts['branch']}/nbs/{path.name}"
        assert badge in source(cells(path)[1]), path.name
        assert any(f"git+https://github.com/{home}@{facts['branch']}" in source(cell) for cell in cells(path)), path.name
    readme = (ROOT/'README.md').read_text(encoding='utf-8')
    assert f'git clone https://github.com/{home}\ncd {facts["repo"]}\n' in readme and f'git+https://github.com/{home}@{facts["branch"]}' in readme


def test_sync_rewrites_every_mention_when_the_repository_moves(monkeypatch, facts):
    monkeypatch.syspath_prepend(ROOT/'tools')
    import sync
    moved = {pattern: link.replace(f"{facts['user']}/{facts['repo']}", 'someone/fork').replace(f"/{facts['branch']}/", '/dev/').replace(f"@{facts['branch']}", '@dev')
             for pattern, link in sync.LINKS.items()}
    monkeypatch.setattr(sync, 'LINKS', moved)
    for path in (ROOT/'README.md', *CHAPTERS):
        text = sync.relink(path.read_text(encoding='utf-8'))
        assert f"{facts['user']}/{facts['repo']}" not in text, path.name
        assert 'someone/fork' in text and 'github.com/hatttruong/fastai-playbook' in text or path.name != 'README.md'


@chapter
def test_a_chapter_opens_and_closes_as_all_do(path):
    first, badge, *rest = cells(path)
    assert re.fullmatch(r'# \S.*\n\n> \S.*\.', source(first)), 'a title and a one-line subtitle'
    assert source(badge).startswith('[![Open in Colab]')
    if path.stem == 'index': return
    assert source(rest[0]).startswith('#| default_exp ')
    assert "if 'google.colab' in sys.modules" in source(rest[1])
    opening = source(rest[2])
    assert path.stem == '10_cli' or 'After this chapter you can' in opening
    assert 'builds on' in opening
    assert path.stem == '10_cli' or any(source(cell).find('## Summary') >= 0 for cell in rest[-2:])


@chapter
def test_a_chapter_has_been_run_and_shows_no_error(path):
    code = [cell for cell in cells(path) if cell['cell_type'] == 'code']
    outputs = [output for cell in code for output in cell['outputs']]
    assert len(outputs) >= 2
    assert not [o for o in outputs if o['output_type'] == 'error' or o.get('name') == 'stderr']


@chapter
def test_every_picture_has_an_alt_text(path):
    for cell in cells(path):
        alt = re.search(r'^#\| fig-alt: (".{20,}")$', source(cell), re.M)
        pictures = [o for o in cell.get('outputs', []) if 'image/png' in o.get('data', {})]
        assert bool(alt) == bool(pictures), source(cell)[:80]
        for picture in pictures: assert picture['metadata']['image/png']['alt'] == json.loads(alt[1])


@chapter
def test_every_link_between_chapters_leads_to_one(path):
    names = {chapter.name for chapter in CHAPTERS}
    for target in re.findall(r'\]\((\w+\.ipynb)\)', '\n'.join(source(c) for c in cells(path) if c['cell_type'] == 'markdown')): assert target in names, target


def test_a_module_imports_only_from_chapters_above_it():
    order = {}
    for path in CHAPTERS:
        name = next((re.match(r'#\| default_exp (\w+)', source(c))[1] for c in cells(path) if source(c).startswith('#| default_exp')), None)
        if name: order[name] = path.name
    for name, notebook in order.items():
        tree = ast.parse((ROOT/'mnist_bp'/f'{name}.py').read_text(encoding='utf-8'))
        imported = {(n.module or '').split('.')[-1] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and (n.level or 'mnist_bp' in (n.module or ''))}
        for other in imported & order.keys(): assert order[other] < notebook, f'{name} imports {other}'


def test_the_package_needs_nothing_that_only_builds_it():
    for path in (ROOT/'mnist_bp').glob('*.py'):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ''] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split('.')[0] for name in names} & {'nbdev', 'sphinx', 'pytest', 'IPython', 'hypothesis'}, path.name
