"""The annotations of MarginClassifier, as a type checker sees them in user code."""

import inspect
import sys
import typing
from pathlib import Path

import numpy as np
import pytest

import margin_sklearn
from margin_sklearn import MarginClassifier

CODE = """\
from margin_sklearn import MarginClassifier

model = MarginClassifier(max_epochs=3)
reveal_type(model.fit([[0.0]], [0]))
reveal_type(model.predict([[0.0]]))
reveal_type(model.n_iter_)
MarginClassifier(max_epochs="three")
MarginClassifier(restore_best="accuracy")
"""

# mypy analyzes only margin_sklearn and NumPy: torch and the others take longer.
CONFIG = """\
[mypy]
[mypy-imblearn.*,joblib.*,matplotlib.*,pandas.*,scipy.*,sklearn.*,skorch.*,torch.*,tqdm.*]
follow_imports = skip
follow_imports_for_stubs = true
ignore_missing_imports = true
"""


def test_mypy_checks_the_code_of_a_user(tmp_path, monkeypatch):
    mypy = pytest.importorskip("mypy.api")
    code, config = tmp_path / "user.py", tmp_path / "mypy.ini"
    code.write_text(CODE)
    config.write_text(CONFIG)
    package = Path(margin_sklearn.__file__).parent
    assert (package / "py.typed").exists()
    if package.parent.name != "site-packages":  # mypy finds those, and refuses them here
        monkeypatch.setenv("MYPYPATH", str(package.parent))
    shown, failed, status = mypy.run(
        [
            *("--config-file", str(config)),
            *("--cache-dir", str(tmp_path / "cache")),
            *("--python-executable", sys.executable),
            "--no-error-summary",
            str(code),
        ]
    )
    assert not failed
    assert status == 1, shown
    lines = [line for line in shown.splitlines() if "user.py" in line]
    assert len(lines) == 5, shown
    for line, wanted in zip(
        lines,
        [
            'Revealed type is "margin_sklearn.classifier.estimator.MarginClassifier"',
            'Revealed type is "numpy.ndarray[',
            'Revealed type is "int',
            'Argument "max_epochs" to "MarginClassifier" has incompatible type',
            'Argument "restore_best" to "MarginClassifier" has incompatible type',
        ],
        strict=True,
    ):
        assert wanted in line.replace("builtins.", ""), shown


def test_every_parameter_has_a_type():
    hints = typing.get_type_hints(MarginClassifier.__init__)
    parameters = inspect.signature(MarginClassifier.__init__).parameters
    assert {*parameters} - {"self"} == {*hints} - {"return"}
    assert hints["max_epochs"] == int | typing.Literal["auto"]
    assert hints["stop_at_separation"] == bool | float
    hints = typing.get_type_hints(MarginClassifier.predict)
    assert hints["return"] == np.typing.NDArray[typing.Any]


@pytest.mark.parametrize("name", ["fit", "partial_fit", "set_params"])
def test_methods_return_the_estimator(name):
    assert typing.get_type_hints(getattr(MarginClassifier, name))["return"] is typing.Self
