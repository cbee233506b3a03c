"""The examples of the package's docstrings run as they stand."""

import doctest
import importlib
import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
SKIPPED = re.compile(r"^\s*>>> (.*)# doctest: \+SKIP$", re.MULTILINE)
SOURCES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "tfrec_fusion").rglob("*.py"))
}
# They trace an export or several training functions.
SLOW = {
    f"tfrec_fusion/{name}.py"
    for name in (
        "examples/joint",
        "export/exporter",
        "export/litert_export",
        "export/onnx_export",
        "export/refreshing",
        "models/alpha_rec",
        "training/run",
        "training/steps_per_execution",
    )
}
EXAMPLES = [
    pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
    for name, source in SOURCES.items()
    if re.search(r"^\s*>>> (?!.*\+SKIP$)", source, re.MULTILINE)
]


class Checker(doctest.OutputChecker):
    """Where an example shows nothing, it has only to run."""

    def check_output(self, want, got, optionflags):
        return not want or super().check_output(want, got, optionflags)


class Runner(doctest.DocTestRunner):
    """Skips where an extra is not installed."""

    def report_unexpected_exception(self, out, test, example, exc_info):
        if isinstance(exc_info[1], ImportError) and "pip install" in str(exc_info[1]):
            pytest.skip(str(exc_info[1]))
        super().report_unexpected_exception(out, test, example, exc_info)


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples(name, shop_names, in_shop, request):
    if "saved_models/shop" in SOURCES[name]:
        shutil.copytree(request.getfixturevalue("exported_shop"), in_shop / "saved_models/shop")
    if name.startswith("tfrec_fusion/server/"):
        pytest.importorskip("tensorflow_serving", reason='needs ".[server]"')
        pytest.importorskip("uvicorn", reason='needs ".[server]"')
    module = importlib.import_module(name.removesuffix(".py").replace("/", "."))
    names = {**shop_names, **vars(module)}
    runner = Runner(Checker(), optionflags=FLAGS)
    for test in doctest.DocTestFinder().find(module, globs=names):
        report: list[str] = []
        runner.run(test, out=report.append)
        assert not report, "".join(report)
    assert runner.tries


def test_a_skipped_example_says_why():
    for name, source in SOURCES.items():
        for example in SKIPPED.findall(source):
            assert "# " in example, f"{name}: {example}"
