"""What a MarginClassifier has fitted: read at one moment, replaced in one step."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from ..runtime import drawing_alone, training
from ..training.run import TrainingRun

__all__ = ["aside", "is_warm", "of_now", "keep_run", "training_run"]

# The attribute that holds the training. Pickles and saved files have it by this name.
RUN = "_run"


def training_run(classifier: Any) -> TrainingRun:
    """The training of a fitted classifier.

    Parameters
    ----------
    classifier : MarginClassifier
        Fitted.

    Returns
    -------
    run : TrainingRun

    Raises
    ------
    AttributeError
        If it is not fitted.
    """
    try:
        return vars(classifier)[RUN]
    except KeyError:
        raise AttributeError(
            "This MarginClassifier is not fitted yet: call fit first."
        ) from None


def keep_run(classifier: Any, run: TrainingRun) -> None:
    """Make a training that of a classifier.

    Parameters
    ----------
    classifier : MarginClassifier
    run : TrainingRun
    """
    setattr(classifier, RUN, run)
    classifier.net_ = run.net


def is_warm(classifier: Any) -> bool:
    """Whether the next fit of a classifier continues its training.

    Parameters
    ----------
    classifier : MarginClassifier

    Returns
    -------
    warm : bool
    """
    return bool(classifier.warm_start) and hasattr(classifier, "net_")


def of_now(classifier: Any) -> Any:
    """The classifier as it is now: another thread may fit it again meanwhile.

    Parameters
    ----------
    classifier : MarginClassifier

    Returns
    -------
    classifier : MarginClassifier
        Of the same class, with the same attributes.
    """
    return _of_state(classifier, vars(classifier))


def _of_state(classifier, state):
    found = object.__new__(type(classifier))
    found.__dict__ = state
    return found


@contextmanager
def aside(classifier: Any, continues: bool) -> Iterator[Any]:
    """A copy to be trained in the block, whose state the classifier takes over at its end.

    It is taken over in one step: other threads predict with what was fitted before. If the
    block raises, nothing has changed. A training that is continued is shared by both, and is
    then restored; threads that predict with it wait.

    Parameters
    ----------
    classifier : MarginClassifier
    continues : bool
        Whether its training is continued.

    Yields
    ------
    trained : MarginClassifier
    """
    before = dict(vars(classifier))
    trained = _of_state(classifier, dict(before))
    with ExitStack() as alone:
        if continues:
            run = training_run(trained)
            alone.enter_context(drawing_alone())
            alone.enter_context(training(run.net.module_))
            alone.enter_context(run.kept_on_error())
        yield trained
        after = vars(trained)
        # What others have set meanwhile stays, such as parameters, but no result of a fit.
        kept = {
            name: value
            for name, value in vars(classifier).items()
            if not (name.endswith("_") or name == RUN) and after.get(name) is before.get(name)
        }
        classifier.__dict__ = {**after, **kept}
