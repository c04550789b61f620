"""A proposer that asks a language model behind any OpenAI-compatible endpoint for formulas.

    symact search --budget 200 --out runs/model --proposer "exec:python examples/llm_proposer.py \
        --url http://127.0.0.1:11434/v1 --model llama3.1 --record runs/model.json"

``LanguageModel`` is the same as an object: ``symact.search(proposer=LanguageModel(settings))``.
docs/proposers.md describes the options, the record and the failures.
"""

from __future__ import annotations

import argparse
import email.utils
import http.client
import json
import math
import os
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symact.expr import Expr, show
from symact.expr.primitives import PRIMITIVES
from symact.grammar import Grammar
from symact.proposers import EvaluatedProposal
from symact.proposers.foreign import proposal

#: Largest answer in bytes, and number of failures in a row that end the object.
BYTES, FAILURES = 4_000_000, 3
#: Numbers of rejected candidates and of refused proposals in a prompt.
REJECTED, REFUSED = 12, 6
#: HTTP statuses below 500 after which the same request may succeed. All from 500 on may.
PASSING = {408, 409, 425, 429}

SYSTEM = (
    "You design activation functions for neural networks. Answer with JSON lines alone: one object "
    'with the key "formula" on each line, no prose, no numbering. Example:\n'
    '{"formula": "x*tanh(softplus(x))"}'
)
TASK = """Propose activation functions f(x) whose networks predict well outside the range of the \
training data. The OOD error ranks them; lower is better. Inside the range they should err no more \
than gelu(x).

A formula consists of x, numbers, + - * / **, parentheses and these functions:
{primitives}
It has at most {nodes} nodes, depth {depth} and {flops} FLOPs.

Best functions so far, as OOD error, error inside the range, FLOPs, formula:
{best}

Not trained, do not repeat them:
{rejected}

Propose {count} new formulas that differ from all above, one JSON object on each line."""


@dataclass(frozen=True)
class Settings:
    """What is asked, where, and at which price.

    Attributes:
        model: Name of the model at the endpoint.
        url: Base URL of the endpoint; ``/chat/completions`` is appended.
        key: API key; empty for none. It is neither stored nor printed.
        temperature: Temperature of sampling; None for the default of the endpoint.
        seed: Seed of sampling, for endpoints that have one; None for none.
        max_tokens: Largest number of tokens of an answer; 0 for no limit.
        prices: Price of a million tokens of input and of output.
        most_cost: No request starts at this cost or above; None for no limit.
        record: JSON file of all requests, answers, tokens and the cost; None for none.
        seconds: Time of an answer with all retries. A search waits 60 s for a process.
        attempts: Largest number of requests for an answer.
        wait: Seconds before the first retry. They double with each retry.
        best: Number of the best functions in the prompt.
    """

    model: str
    url: str = "http://127.0.0.1:11434/v1"
    key: str = ""
    temperature: float | None = None
    seed: int | None = None
    max_tokens: int = 2000
    prices: tuple[float, float] = (0.0, 0.0)
    most_cost: float | None = None
    record: Path | None = None
    seconds: float = 50.0
    attempts: int = 4
    wait: float = 1.0
    best: int = 15


class NoAnswerError(Exception):
    """There is no answer. The message is one line; ``pause`` is a requested wait in seconds."""

    def __init__(self, reason: str, *, is_passing: bool = False, pause: float = 0.0) -> None:
        super().__init__(" ".join(reason.split())[:300])
        self.is_passing, self.pause = is_passing, pause


class Record:
    """The requests, answers, tokens and the cost, stored after each request.

    An existing file of the same model is continued, because a search may restart its process.

    Args:
        settings: The settings; ``record`` is the file.

    Raises:
        NoAnswerError: The file is no record, or one of another model or price.
    """

    def __init__(self, settings: Settings) -> None:
        self._path = settings.record
        head = {
            "url": settings.url,
            "model": settings.model,
            "temperature": settings.temperature,
            "seed": settings.seed,
            "price_per_million_tokens": {
                "input": settings.prices[0],
                "output": settings.prices[1],
            },
        }
        totals = {
            "calls": 0,
            "calls_without_usage": 0,
            "prompt_tokens": 0,
            "completion_tokens": 0,
            "cost": 0.0,
        }
        self.document: dict[str, Any] = {**head, "totals": totals, "calls": []}
        if self._path is not None and self._path.exists():
            self.document = record_of(self._path)
            for name, value in head.items():
                if self.document.get(name) != value:
                    raise NoAnswerError(
                        f"{self._path}: a record of another {name}; name a new file"
                    )

    @property
    def cost(self) -> float:
        """The cost so far, in the unit of the prices."""
        return float(self.document["totals"]["cost"])

    def add(self, call: dict[str, Any]) -> None:
        """Add a request to the sums and store the file."""
        totals, usage = self.document["totals"], call["usage"]
        totals["calls"] += 1
        totals["calls_without_usage"] += usage is None
        for name in ("prompt_tokens", "completion_tokens"):
            totals[name] += usage[name] if usage else 0
        prices = self.document["price_per_million_tokens"]
        paid = totals["prompt_tokens"] * prices["input"]
        totals["cost"] = (paid + totals["completion_tokens"] * prices["output"]) / 1e6
        self.document["calls"].append(call)
        self._store()

    def _store(self) -> None:
        if self._path is None:
            return
        new = self._path.with_name(self._path.name + ".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(json.dumps(self.document, indent=1) + "\n", "utf-8")
            new.replace(self._path)  # a killed process leaves a whole file
        except OSError as error:
            raise NoAnswerError(f"{self._path}: cannot be written: {error.strerror}") from None


def record_of(path: Path) -> dict[str, Any]:
    """Return the content of a record.

    Raises:
        NoAnswerError: The file cannot be read or is no record.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
        if not isinstance(found["calls"], list) or not math.isfinite(found["totals"]["cost"]):
            raise ValueError
    except OSError as error:
        raise NoAnswerError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise NoAnswerError(f"{path}: not a record of this proposer; name a new file") from None
    return dict(found)


class LanguageModel:
    """A proposer with ``ask`` and ``tell`` for :func:`symact.search`.

    Args:
        settings: What is asked, and where.
        grammar: Grammar whose functions and limits are in the prompt; None for ``pointwise``.

    Raises:
        NoAnswerError: The record cannot be continued.
    """

    def __init__(self, settings: Settings, grammar: Grammar | None = None) -> None:
        self.settings, self.record = settings, Record(settings)
        self.grammar = grammar or Grammar.load("pointwise")
        self._results: list[dict[str, Any]] = []
        self._refused: list[str] = []
        self._failures = 0

    def ask(self, count: int) -> list[Any]:
        """Return at most ``count`` formulas; none after a failure, told in a line on stderr."""
        try:
            found = self._answer(count)[:count]
        except NoAnswerError as failure:
            self._failures += 1
            print(failure, file=sys.stderr, flush=True)
            return []
        self._failures = 0
        for item in found:
            reason = proposal(item, self.grammar, "model").refused
            if reason:
                self._refused.append(f"{_text(item)}  ({reason})")
        return found

    def tell(self, results: Sequence[EvaluatedProposal | Mapping[str, Any]]) -> None:
        """Receive results: of a search, or as the messages to a process state them."""
        told = [r if isinstance(r, Mapping) else _told(r) for r in results]
        self._results += [dict(one) for one in told if one["outcome"] != "refused"]

    @property
    def finished(self) -> bool:
        """Whether the limit of the cost or too many failures in a row ended it."""
        return self._failures >= FAILURES or self._is_spent()

    def state(self) -> dict[str, Any]:
        """Return the results and refusals, for a resumed search."""
        return {"results": self._results, "refused": self._refused}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        self._results, self._refused = state["results"], state["refused"]

    def prompt(self, count: int) -> list[dict[str, str]]:
        """Return the messages of the next request."""
        judged = sorted((r for r in self._results if "ood" in r), key=lambda r: float(r["ood"]))
        best = [
            f"{r['ood']:.3g}  {r['id_error']:.2g}  {r['flops']:g}  {r['formula']}"
            for r in judged[: self.settings.best]
        ]
        rest = [f"{r['formula']}  ({r['outcome']})" for r in self._results if "ood" not in r]
        limits = self.grammar.limits
        text = TASK.format(
            primitives="\n".join(_primitives(self.grammar)),
            nodes=limits.nodes,
            depth=limits.depth,
            flops=limits.flops,
            best="\n".join(best) or "none yet",
            rejected="\n".join(rest[-REJECTED:] + self._refused[-REFUSED:]) or "none yet",
            count=count,
        )
        return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]

    def _is_spent(self) -> bool:
        most = self.settings.most_cost
        return most is not None and self.record.cost >= most

    def _answer(self, count: int) -> list[Any]:
        """Ask until an answer has formulas, the attempts are used up or the time is over."""
        settings, messages = self.settings, self.prompt(count)
        deadline = time.monotonic() + settings.seconds
        for attempt in range(settings.attempts):
            if self._is_spent():
                raise NoAnswerError(f"the cost {self.record.cost:g} reached {settings.most_cost:g}")
            try:
                return self._call(messages, count, deadline - time.monotonic())
            except NoAnswerError as failure:
                pause = max(failure.pause, settings.wait * 2**attempt)
                is_late = time.monotonic() + pause >= deadline
                if not failure.is_passing or is_late or attempt + 1 == settings.attempts:
                    raise
                time.sleep(pause)
        raise NoAnswerError("no attempts are allowed")

    def _call(self, messages: list[dict[str, str]], count: int, seconds: float) -> list[Any]:
        """Send one request and record it, whatever comes back."""
        call: dict[str, Any] = {"asked": count, "messages": messages, "answer": None}
        call |= {"proposals": [], "usage": None, "error": None}
        try:
            document = _post(self.settings, messages, seconds)
            call["usage"] = _usage(document)
            call["answer"] = _content(document)
            call["proposals"] = formulas_in(call["answer"])[:count]
            if not call["proposals"]:
                raise NoAnswerError("an answer without a formula", is_passing=True)
        except NoAnswerError as failure:
            call["error"] = str(failure)
            raise
        finally:
            self.record.add(call)
        return list(call["proposals"])


def _told(result: EvaluatedProposal) -> dict[str, Any]:
    told: dict[str, Any] = {"formula": show(result.expr), "outcome": result.outcome}
    if result.objectives is not None and all(map(math.isfinite, result.objectives)):
        ood, id_error, flops = result.objectives
        told |= {"ood": 10**ood, "id_error": 10**id_error, "flops": flops}
    return told


def _primitives(grammar: Grammar) -> list[str]:
    """Return the functions of a grammar and their meanings, in the order of the table."""

    def names(expr: Expr) -> Iterator[str]:
        yield expr.op
        for one in expr.args:
            yield from names(one)

    used = {name for production in grammar.productions for name in names(production.template)}
    infix = {"add", "sub", "mul", "div", "neg", "square", "cube", "lt", "le", "gt", "ge"}
    shown = [name for name in PRIMITIVES if name in used - infix]
    return [f"{name}: {PRIMITIVES[name].meaning}" for name in shown]


# The endpoint


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected request would carry the key to another server."""

    def redirect_request(self, *arguments: Any, **named: Any) -> None:
        return None


def _post(settings: Settings, messages: list[dict[str, str]], seconds: float) -> Any:
    """Return the JSON answer of the endpoint."""
    body: dict[str, Any] = {"model": settings.model, "messages": messages}
    optional = {"temperature": settings.temperature, "seed": settings.seed}
    optional["max_tokens"] = settings.max_tokens or None
    body |= {name: value for name, value in optional.items() if value is not None}
    headers = {"Content-Type": "application/json"}
    if settings.key:
        headers["Authorization"] = f"Bearer {settings.key}"
    url = settings.url.rstrip("/") + "/chat/completions"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=seconds) as answer:
            data = _read(answer, time.monotonic() + seconds)
    except urllib.error.HTTPError as error:
        raise _refusal(error, url, settings.key) from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", "") or str(error) or type(error).__name__
        raise NoAnswerError(f"{url}: {reason}", is_passing=True) from None
    if len(data) > BYTES:
        raise NoAnswerError(f"{url}: an answer of more than {BYTES} bytes")
    try:
        return json.loads(_without(data, settings.key))
    except (ValueError, RecursionError):
        raise NoAnswerError(f"{url}: an answer that is no JSON", is_passing=True) from None


def _read(answer: Any, deadline: float) -> bytes:
    """Return at most one byte more than the limit; the time holds for all parts together."""
    data = b""
    while len(data) <= BYTES:
        part = answer.read1(65536)
        if not part:
            break
        data += part
        if time.monotonic() > deadline:
            raise TimeoutError("timed out")
    return data


def _without(data: bytes, key: str) -> str:
    """Decode an answer and mask a key that it repeats. Short keys are placeholders."""
    text = data.decode("utf-8", "replace")
    return text.replace(key, "***") if len(key) >= 8 else text


def _refusal(error: urllib.error.HTTPError, url: str, key: str) -> NoAnswerError:
    """Return the failure of an HTTP status, with what the server says about it."""
    try:
        said = _without(error.read(100_000), key)
    except (OSError, http.client.HTTPException):
        said = ""
    found = re.search(r'"message"\s*:\s*"((?:[^"\\]|\\.)*)', said)
    reason = f"{url}: HTTP {error.code} {found.group(1) if found else said[:200]}"
    is_passing = error.code >= 500 or error.code in PASSING
    pause = _seconds_of(error.headers.get("Retry-After", ""))
    return NoAnswerError(reason, is_passing=is_passing, pause=pause)


def _seconds_of(text: str) -> float:
    """Return the seconds of a ``Retry-After``, a number or a date; 0 for another text."""
    try:
        return float(text) if float(text) > 0 else 0.0
    except ValueError:
        pass
    try:
        return max(email.utils.parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError):
        return 0.0


def _usage(document: Any) -> dict[str, Any] | None:
    usage = document.get("usage") if isinstance(document, dict) else None
    usage = usage if isinstance(usage, dict) else {}
    found = {name: usage.get(name) for name in ("prompt_tokens", "completion_tokens")}
    return found if all(type(one) is int and one >= 0 for one in found.values()) else None


def _content(document: Any) -> str:
    try:
        content = document["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        content = None
    if not isinstance(content, str):
        raise NoAnswerError("an answer without choices[0].message.content", is_passing=True)
    return content


# The answer

THOUGHTS = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
FENCED = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)
PAIR = re.compile(r'"formula"\s*:\s*"((?:[^"\\]|\\.)*)"')
NUMBERING = re.compile(r"^(?:[-*\u2022]|\(?\d+[.):])\s+")
NAMING = re.compile(r"^\**(?:[A-Za-z]\w*\s*(?:\(x\))?\s*=(?!=)|formula\s*:)\s*", re.IGNORECASE)
FORMULA = re.compile(r"[\w\s.+\-*/(),<>=]*")


def formulas_in(text: str) -> list[Any]:
    r"""Return the proposals of an answer in order, each once.

    It reads JSON lines, JSON lists, code fences, Python functions, numbered lists and formulas in
    prose. A malformed line of JSON is returned as it is, and the search records its refusal.

    Example:
        >>> formulas_in('Sure!\n1. `x*tanh(x)`\n{"formula": "sin(x)"}')
        ['x*tanh(x)', 'sin(x)']
    """
    text = THOUGHTS.sub("", text)
    found: list[Any] = []
    for block in FENCED.findall(text) or [text]:
        found += _of_block(block.strip())
    return [item for i, item in enumerate(found) if item not in found[:i]]


def _of_block(block: str) -> list[Any]:
    if block.startswith(("def ", "import ", "from ")):
        return [{"code": block}]
    whole = _items(block)
    return whole or [item for line in block.splitlines() for item in _of_line(line)]


def _items(text: str) -> list[Any]:
    """Return the proposals of a JSON text; none if it is no JSON."""

    def walk(value: Any) -> Iterator[Any]:
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            for one in value:
                yield from walk(one)
        elif isinstance(value, dict) and isinstance(value.get("formula"), str):
            yield value["formula"]
        elif isinstance(value, dict) and isinstance(value.get("code"), str):
            yield {"code": value["code"]}
        elif isinstance(value, dict):
            yield from walk([one for one in value.values() if isinstance(one, list | dict)])

    try:
        return list(walk(json.loads(text)))
    except (ValueError, RecursionError):
        return []


def _of_line(line: str) -> list[Any]:
    line = NUMBERING.sub("", line.strip()).strip().rstrip(",;")
    items = _items(line)
    if items or not line.strip("[]{}, "):
        return items
    if line[0] in '{["':
        return PAIR.findall(line) or [line]
    ticked = re.search(r"`([^`]+)`", line)
    bare = (ticked.group(1) if ticked else line).split("#")[0]
    bare = NAMING.sub("", bare.strip()).strip().replace("^", "**")
    return [bare] if _is_formula(bare) else []


def _is_formula(text: str) -> bool:
    """Return whether a text may be meant as a formula: no two words in a row, an x, an operator."""
    if not FORMULA.fullmatch(text) or re.search(r"[A-Za-z]\w*\s+[A-Za-z]", text):
        return False
    return bool(re.search(r"\bx\b", text) and re.search(r"[(+*/-]", text))


def _text(item: Any) -> str:
    return str(item.get("code", item) if isinstance(item, dict) else item)[:200]


# The command


def options() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description="A language model as a proposer.")
    add: Callable[..., Any] = parser.add_argument
    add("--model", help="name of the model at the endpoint")
    add("--url", default=Settings.url, help="base URL of the endpoint (%(default)s)")
    add("--key-variable", metavar="NAME", help="environment variable that holds the API key")
    add("--temperature", type=_number, help="temperature; default: of the endpoint")
    add("--seed", type=int, help="seed of sampling, if the endpoint has one")
    add("--max-tokens", type=int, default=Settings.max_tokens, help="of an answer; 0: no limit")
    add("--input-price", type=_number, default=0.0, help="price of a million tokens of input")
    add("--output-price", type=_number, default=0.0, help="price of a million tokens of output")
    add("--most-cost", type=_number, help="no request starts at this cost or above")
    add("--record", type=Path, help="JSON file of requests, answers, tokens and cost")
    add("--seconds", type=_number, default=Settings.seconds, help="time of an answer with retries")
    add("--attempts", type=int, default=Settings.attempts, help="requests for an answer")
    add("--wait", type=_number, default=Settings.wait, help="seconds before the first retry")
    add("--best", type=int, default=Settings.best, help="best functions in the prompt")
    add("--formulas", type=Path, metavar="RECORD", help="print a record's proposals and end")
    return parser


def _number(text: str) -> float:
    number = float(text)
    if not (math.isfinite(number) and number >= 0):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number of at least 0")
    return number


def settings_of(parser: argparse.ArgumentParser, given: argparse.Namespace) -> Settings:
    """Return the settings of a command line; a wrong one ends with one line on stderr."""
    parts = urllib.parse.urlsplit(given.url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        parser.error("--url: needs http://HOST or https://HOST, without a user name")
    if not given.model:
        parser.error("--model is required")
    if given.attempts < 1:
        parser.error("--attempts: must be at least 1")
    if given.most_cost is not None and not given.input_price + given.output_price:
        parser.error("--most-cost: needs --input-price and --output-price")
    names = "model url temperature seed max_tokens most_cost record seconds attempts wait best"
    same = {name: getattr(given, name) for name in names.split()}
    prices = (given.input_price, given.output_price)
    return Settings(**same, prices=prices, key=_key(parser, given.key_variable))


def _key(parser: argparse.ArgumentParser, variable: str | None) -> str:
    key = os.environ.get(variable, "").strip() if variable else ""
    if variable and not key:
        parser.error(f"--key-variable: the environment has no variable {variable}")
    if not (key.isascii() and key.isprintable()):
        parser.error(f"--key-variable: {variable} holds characters that no key has")
    return key


def serve(settings: Settings) -> None:
    """Answer the messages of a search until it ends or there are no proposals."""
    model: LanguageModel | None = None
    for line in sys.stdin:
        message = json.loads(line)
        if "start" in message:
            model = LanguageModel(settings, Grammar.parse(message["start"]["grammar_text"]))
        assert model is not None
        model.tell(message.get("tell", []))
        if "ask" in message:
            proposals = model.ask(message["ask"])
            if not proposals:  # the search starts this process again, three times at most
                sys.exit(1)
            print(json.dumps({"proposals": proposals}), flush=True)


def main() -> None:
    parser = options()
    given = parser.parse_args()
    try:
        if given.formulas is None:
            serve(settings_of(parser, given))
            return
        for call in record_of(given.formulas)["calls"]:
            for item in call["proposals"]:
                print(json.dumps(item))
    except NoAnswerError as failure:
        sys.exit(str(failure))


if __name__ == "__main__":
    main()
