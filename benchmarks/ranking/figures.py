"""A figure for the documentation: the default score against 5-fold cross-validation."""

import matplotlib.pyplot as plt

__all__ = ["draw"]


def draw(frame, file):
    """Draw one point per task, the mean over seeds: tau on the left, regret on the right.

    Parameters
    ----------
    frame : DataFrame
        From ``by_task``.
    file : path
    """
    figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
    groups = [
        ("MLPs, not tuned on", False, "mlp", "C0", "o"),
        ("ConvNets, not tuned on", False, "convnet", "C3", "s"),
        ("tuned on", True, None, "0.6", "."),
    ]
    for ax, value, title in (
        (axes[0], "tau", "Kendall's τ with test accuracy (higher is better)"),
        (axes[1], "regret", "regret in points of test accuracy (lower is better)"),
    ):
        means = frame.pivot_table(
            index=["tuning", "kind", "task"], columns="score", values=value
        ).reset_index()
        for name, tuning, kind, color, marker in groups:
            part = means[means["tuning"] == tuning]
            if kind is not None:
                part = part[part["kind"] == kind]
            ax.scatter(
                part["cv5"], part["margin_auc_score"], c=color, marker=marker, label=name
            )
        low = min(0, means[["cv5", "margin_auc_score"]].min().min())
        high = means[["cv5", "margin_auc_score"]].max().max() * 1.05
        ax.plot([low, high], [low, high], color="0.7", lw=0.8, zorder=0)
        ax.set(xlabel="5-fold cross-validation: 5 fits", title=title)
        ax.title.set_fontsize("medium")
        ax.set_aspect("equal")
    axes[0].set_ylabel("margin_auc_score: 1 fit")
    axes[0].legend(fontsize="small")
    figure.savefig(file, dpi=110)
    plt.close(figure)
