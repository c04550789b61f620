"""A proposer of one's own, as small as it gets: hill climbing on the text of the best formula.

    symact search --proposer "exec:python examples/proposer.py" --budget 200 --out runs/hill

Put a language model where ``variant`` is: give it the best formulas so far and return what it
answers. docs/proposers.md tells what is said over stdin and stdout.
"""

import json
import random
import re
import sys

PARTS = ["sin(x)", "tanh(x)", "gelu(x)", "silu(x)", "softplus(x)", "sigmoid(x)", "gaussian(x)", "x"]
best = ("gelu(x)", float("inf"))


def variant(formula):
    """Change a number of a formula, or join a new part to it."""
    numbers = list(re.finditer(r"\d+\.?\d*", formula))
    if numbers and random.random() < 0.5:
        place = random.choice(numbers)
        number = f"{float(place.group()) * random.uniform(0.5, 2):.2g}"
        return formula[: place.start()] + number + formula[place.end() :]
    if len(formula) > 60:
        formula = random.choice(PARTS)
    part, factor = random.choice(PARTS), f"{random.uniform(0.05, 1):.2g}"
    return f"{formula} {random.choice('+-')} {factor}*{part}"


random.seed(0)
for line in sys.stdin:
    message = json.loads(line)
    for told in message.get("tell", []):
        if told.get("ood", best[1]) < best[1]:
            best = (told["formula"], told["ood"])
    if "ask" in message:
        proposals = [variant(best[0]) for _ in range(min(message["ask"], 20))]
        print(json.dumps({"proposals": proposals}), flush=True)
