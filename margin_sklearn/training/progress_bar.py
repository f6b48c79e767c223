"""A progress bar over the epochs of a training run."""

from skorch.callbacks import Callback

__all__ = ["ProgressBar"]


class ProgressBar(Callback):
    """A tqdm bar over the epochs that shows loss, accuracy and margin."""

    def on_train_begin(self, net, **kwargs):
        from tqdm.auto import tqdm

        self.before_ = len(net.history)
        self.bar_ = tqdm(total=net.max_epochs, unit="epoch", desc="fit")

    def on_epoch_end(self, net, **kwargs):
        row = net.history[-1]
        self.bar_.set_postfix(
            loss=f"{row['train_loss']:.3g}",
            accuracy=f"{row['train_accuracy']:.3f}",
            margin=f"{row['train_margin']:.3g}",
            refresh=False,
        )
        # A training that was resumed has epochs that it did not make.
        self.bar_.update(len(net.history) - self.before_ - self.bar_.n)

    def on_train_end(self, net, **kwargs):
        self.close()

    def close(self):
        """Close the bar; may be called more than once."""
        if getattr(self, "bar_", None) is not None:
            self.bar_.close()
            self.bar_ = None
