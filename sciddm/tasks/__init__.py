"""What is done with a model: named uses, each with a problem, an answer and a score. A domain adds its own."""

from sciddm.tasks.base import Problem, Task, make_tasks, need
from sciddm.tasks.block_means import BlockMeans
from sciddm.tasks.generate import Generate
from sciddm.tasks.population import Population
from sciddm.tasks.rollout import Rollout
from sciddm.tasks.steered import Steered
from sciddm.tasks.wide import Wide

__all__ = ["BlockMeans", "Generate", "Population", "Problem", "Rollout", "Steered", "Task", "Wide", "make_tasks", "need"]
