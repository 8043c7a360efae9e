"""How good is it? Tasks beside classical answers, rewards beside a second one that nobody optimised."""

from sciddm.evaluation.tasks import evaluate, format_table, save_figure

__all__ = ["evaluate", "format_table", "save_figure"]
