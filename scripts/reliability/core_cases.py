"""What any command can be given that is odd: workdirs, configs, seeds, numbers, places that can't be written."""

from case import refused

CASES = [
    refused("nonsense", "an empty workdir", lambda folder: ["train", "--config", "toy.py", "--workdir", ""], "workdir"),
]
