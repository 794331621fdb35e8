"""Every number that the app shows, explained: plain data and a search. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Term:
    """A word of the app.

    Attributes:
        name: as it is shown.
        short: the short name, such as the notebook's; "" where there is none.
        unit: what it is measured in; "" for a plain word.
        text: one or two sentences.
        panes: where it is shown: "dataset", "recipe", "chart", "report", "runs", "machine", "header".
    """

    name: str
    short: str
    unit: str
    text: str
    panes: tuple[str, ...] = ()


def _term(name: str, short: str, unit: str, panes: str, text: str) -> Term:
    return Term(name, short, unit, text, tuple(panes.split()))


TERMS: tuple[Term, ...] = (
    _term(
        "loss",
        "loss",
        "nats",
        "chart report",
        "Mean cross-entropy: minus the logarithm of the probability given to the true class. Lower is "
        "better; guessing among ten classes gives 2.303.",
    ),
    _term(
        "moving loss",
        "~loss",
        "nats",
        "chart report header",
        "Moving average of the batch loss; the newest batch weighs 1 percent. It includes the penalty.",
    ),
    _term(
        "moving accuracy",
        "~acc",
        "percent",
        "chart report header",
        "Moving average of the share of right answers in the training batches; the newest weighs 1 percent.",
    ),
    _term(
        "mean loss",
        "#loss",
        "nats",
        "report chart",
        "Mean of the batch losses since step 0. After an evaluation: the mean over the whole split.",
    ),
    _term(
        "mean accuracy",
        "#acc",
        "percent",
        "report chart",
        "Share of right answers since step 0. After an evaluation: the share in the whole split.",
    ),
    _term(
        "accuracy",
        "acc",
        "percent",
        "report runs chart",
        "Share of pictures whose most likely class is the true one. Guessing gives 10% on ten classes, 1% on "
        "a hundred.",
    ),
    _term(
        "top-5",
        "",
        "percent",
        "report",
        "Share of pictures whose true class is among the five most likely ones.",
    ),
    _term(
        "gap",
        "",
        "points",
        "report",
        "Training accuracy minus test accuracy. A wide gap means that the model knows its training pictures "
        "by heart.",
    ),
    _term(
        "95% interval",
        "",
        "percent",
        "report",
        "Wilson interval of an accuracy: with as many pictures of the same kind the true value lies in it 19 "
        "times of 20. It does not count that another seed trains another model.",
    ),
    _term(
        "ECE",
        "calibration error",
        "points",
        "report",
        "Expected calibration error: how far confidence and accuracy lie apart on average, over 15 bins of "
        "confidence. 0 is best.",
    ),
    _term(
        "confidence",
        "",
        "percent",
        "report",
        "The probability that the model gives to the class it names.",
    ),
    _term(
        "recall",
        "",
        "percent",
        "report",
        "Share of the pictures of a class that were found: right answers divided by pictures of the class.",
    ),
    _term(
        "precision",
        "",
        "percent",
        "report",
        "Share that is right among the pictures that the model gave this class.",
    ),
    _term(
        "F1",
        "",
        "percent",
        "report",
        "Harmonic mean of precision and recall; high only where both are high.",
    ),
    _term("support", "", "pictures", "report", "How many pictures of the class the split holds."),
    _term(
        "confusion matrix",
        "",
        "pictures",
        "report",
        "Row: the true class. Column: what the model said. Green cells on the diagonal are right, red cells "
        "are mistakes; each colour has its own scale.",
    ),
    _term(
        "most confused",
        "",
        "pictures",
        "report",
        "The pairs (true class, named class) with the most mistakes.",
    ),
    _term(
        "penalty",
        "L2",
        "nats",
        "report recipe",
        "What L2 regularisation adds to the training loss: its factor times the sum of squared weights. Test "
        "losses are shown without it.",
    ),
    _term(
        "step",
        "",
        "steps",
        "header chart report runs",
        "One update of the weights, from one batch. The target is the step at which the training is done.",
    ),
    _term(
        "epoch",
        "",
        "passes",
        "header chart report",
        "Passes over the training pictures, with a fraction: steps times batch size divided by pictures.",
    ),
    _term("batch size", "", "pictures", "recipe", "Pictures in one step."),
    _term(
        "steps/s",
        "rate",
        "steps a second",
        "header chart report",
        "Training steps a second over the last seconds. Evaluations, saving and pauses are left out.",
    ),
    _term("images/s", "", "pictures a second", "report", "Steps a second times batch size."),
    _term(
        "median step",
        "p50",
        "microseconds",
        "report machine",
        "Half of the training steps of this session took less time than this.",
    ),
    _term(
        "p95 step",
        "p95",
        "microseconds",
        "report machine",
        "95 of 100 training steps took less time than this.",
    ),
    _term(
        "ETA",
        "",
        "h:mm:ss",
        "header report dataset",
        "Expected time that is left: to the target step, evaluations included; or to the end of a download.",
    ),
    _term("elapsed", "", "h:mm:ss", "report", "Time spent in training steps, earlier sessions included."),
    _term(
        "learning rate",
        "lr",
        "",
        "recipe chart report",
        "How far a step moves the weights, as read back from the optimizer. Too high and the loss explodes, "
        "too low and nothing is learned.",
    ),
    _term(
        "warm-up",
        "",
        "steps",
        "recipe chart",
        "The first steps, in which the learning rate climbs from near zero to its full value.",
    ),
    _term(
        "schedule",
        "",
        "",
        "recipe chart",
        "How the learning rate changes over the steps: constant, or falling along a cosine.",
    ),
    _term(
        "dropout",
        "",
        "share",
        "recipe",
        "Share of the activations set to zero at random in each training step, so that none is relied upon.",
    ),
    _term(
        "parameters",
        "",
        "numbers",
        "recipe runs",
        "Numbers in the model that training changes.",
    ),
    _term(
        "FLOPs",
        "",
        "operations",
        "recipe",
        "Multiplications and additions for one picture, forwards. A training step takes about three times as "
        "many for each picture.",
    ),
    _term(
        "seed",
        "",
        "",
        "recipe",
        "The number from which all randomness of a run comes: weights, order, crops. The same seed on the "
        "same machine repeats a run bit by bit.",
    ),
    _term(
        "best",
        "",
        "percent",
        "runs report chart",
        "The highest test accuracy of all evaluations of a run. As it is picked on the test set, it is a "
        "little too good; a validation split avoids that.",
    ),
    _term(
        "train",
        "",
        "",
        "chart report dataset",
        "The pictures that the model learns from.",
    ),
    _term("test", "", "", "chart report dataset", "Pictures that the model never learns from."),
    _term(
        "validation",
        "",
        "",
        "chart report recipe",
        "Training pictures held out for choosing between recipes, so that the test set stays untouched.",
    ),
    _term(
        "checkpoint",
        "",
        "",
        "header runs report machine",
        "Weights and optimizer state saved on disk; training can go on from it exactly.",
    ),
    _term(
        "diverged",
        "",
        "",
        "runs header",
        "The loss or the weights stopped being finite. The last good checkpoint is kept; a lower learning "
        "rate usually helps.",
    ),
    _term(
        "interrupted",
        "",
        "",
        "runs",
        "The process of a run ended without a last word. The run can be resumed from its newest checkpoint.",
    ),
    _term(
        "ready",
        "",
        "",
        "dataset",
        "On disk, and every file has the official SHA-256 hash.",
    ),
    _term(
        "unverified",
        "",
        "",
        "dataset runs",
        "Every record is well formed, but the hashes are not the official ones. It is used only once "
        "accepted, and every run trained on it says so.",
    ),
    _term("damaged", "", "", "dataset runs", "A file is missing, has the wrong size or cannot be read."),
    _term(
        "rate",
        "",
        "bytes a second",
        "dataset",
        "Speed of a download over the last 30 seconds.",
    ),
    _term(
        "smoothing",
        "",
        "",
        "chart",
        "How strongly the line in front is averaged. The faint band behind it is the raw values.",
    ),
    _term(
        "notebook",
        "ghost",
        "",
        "chart",
        "The last values that the original notebook published for this preset, as a dotted line.",
    ),
    _term("CPU", "", "percent", "machine", "Share of all cores that is busy, by every process."),
    _term(
        "this process",
        "",
        "percent of a core",
        "machine",
        "Processor time of the app and its training; 200% is two cores at work.",
    ),
    _term("memory", "", "bytes", "machine", "Memory that is in use on this machine, and by this process."),
    _term(
        "GPU",
        "",
        "percent",
        "machine",
        "Share of the last second in which the card worked; its power and heat.",
    ),
    _term("best test", "", "percent", "runs", "Greatest accuracy on the test split; last is the newest one."),
    _term("per s", "", "steps a second", "runs", "Steps done, divided by the time spent in them."),
    _term("paused", "", "", "runs header", "The process waits, with all in memory; p lets it go on."),
    _term("stalled", "", "", "runs", "The process of a run lives, but has given no sign of life for 10 s."),
)


def search(text: str, pane: str = "") -> list[Term]:
    """Terms that hold all words of `text`, matches in the name first, then those of `pane`, else in order.

    Args:
        text: what was typed; case is ignored; empty for all.
        pane: a value of `Term.panes`, or "".
    """
    words = text.casefold().split()
    found = []
    for place, term in enumerate(TERMS):
        names = f"{term.name} {term.short}".casefold()
        whole = f"{names} {term.unit} {term.text}".casefold()
        if all(word in whole for word in words):
            in_name = all(word in names for word in words)
            found.append((not in_name, bool(pane) and pane not in term.panes, place, term))
    return [term for *_, term in sorted(found, key=lambda entry: entry[:3])]
