"""A generator of hostile programs for the importer."""

from __future__ import annotations

import random

HEAD = "import numpy as np\nimport jax\nimport jax.numpy as jnp\nimport torch\n"
GOOD = [
    "def f(x, a=0.1):\n    return jax.nn.gelu(x) + a * jnp.sin(x)\n",
    "def f(x):\n    y = np.tanh(1.5 * x)\n    y *= np.exp(-0.2 * x**2)\n    return y + 0.1 * x\n",
    "def f(x):\n    for i in range(3):\n        x = x + torch.sin((i + 1) * x)\n    return x\n",
    "def g(z):\n    return z / (1 + abs(z))\ndef f(x):\n    return np.where(x > 0, x, g(x))\n",
]
NASTY = [
    "__import__('os').system('touch {canary}')",
    "open('{canary}', 'w').write('x')",
    "eval(\"open('{canary}', 'w')\")",
    "exec(\"open('{canary}', 'w')\")",
    "compile('1', 'x', 'eval')",
    "x.__class__.__bases__[0].__subclasses__()",
    "getattr(x, '__class__')",
    "(lambda: (yield))()",
    "[y for y in range(10**9)]",
    "{{y: z for y in range(10**6) for z in range(10**6)}}",
    "sum(y for y in iter(int, 1))",
    "'x' * 10**10",
    "'%1000000000d' % 1",
    "f'{{x:>1000000000}}'",
    "10**10**10",
    "2**(2**30)",
    "9**9**9**9",
    "1 << 10**9",
    "(1 << 900) ** 900",
    "x**10**9",
    "x**(-10**9)",
    "x ** 1e308",
    "1e308 * 1e308",
    "float('nan')",
    "float('1' * 10**6)",
    "int('9' * 5000)",
    "range(10**12)",
    "list(range(10**9))",
    "np.load('{canary}', allow_pickle=True)",
    "torch.load('{canary}')",
    "np.fromfile('{canary}')",
    "np.linalg.matrix_power(x, 10**9)",
    "globals()['__builtins__']",
    "vars(np)",
    "breakpoint()",
    "input()",
    "print('x' * 10**9)",
    "exit()",
    "(x := open('{canary}', 'w'))",
    "np.vectorize(lambda y: open('{canary}', 'w'))(x)",
    "f(x)",
    "(lambda z: z(z))(lambda z: z(z))",
    "x[0][0][0]",
    "x @ x",
    "x if x else x",
    "*x, 1",
    "...",
    "b'bytes'",
    "1j * x",
    "await x",
    "None",
    "True",
    "np.where(x, x)",
    "np.clip()",
    "np.sin(x=x, y=x, z=x)",
    "np.pi()",
    "np",
    "jnp.nn.gelu.gelu.gelu(x)",
    "math.factorial(10**9)",
    "math.comb(10**9, 10**8)",
    "math.exp(10**9)",
    "math.sqrt(-1)",
    "-" * 0 + "x",
    "self.x",
    "x.dtype.type(3)",
    "\ud800",
    "\uff58",
]


def deep(rng: random.Random) -> str:
    """Nest one construct very deeply, or repeat it very often."""
    n = rng.choice([50, 99, 1000, 20_000])
    kind = rng.randrange(20)
    many = min(n, 3000)
    texts = [
        "(" * n + "x" + ")" * n,
        "[" * n + "x" + "]" * n,
        "-" * n + "x",
        "~" * n + "x",
        "not " * many + "x",
        "lambda: " * many + "x",
        "x" + ".a" * n,
        "x" + "[0]" * n,
        "x" + "(x)" * n,
        "np.sin(" * n + "x" + ")" * n,
        "x" + " + x" * n,
        "x" + " ** x" * n,
        "x" + " if x else x" * many,
        "x" + " and x" * n,
        "x" + " < x" * n,
        "f" + "'" * 3 + "{x}" * n + "'" * 3,
        "{" * n + "}" * n,
        "1" * n,
        "'" + "\\x41" * n + "'",
        "x" + "\\\n" * many + "+ x",
    ]
    return texts[kind]


def program(rng: random.Random, canary: str) -> str:
    """Return a program that means harm, is broken, or is odd."""
    kind = rng.randrange(8)
    nasty = rng.choice(NASTY).replace("{canary}", canary).replace("{{", "{").replace("}}", "}")
    if kind == 0:
        return HEAD + f"def f(x):\n    return {nasty}\n"
    if kind == 1:
        return HEAD + f"def f(x, a={nasty}):\n    return x * a\n"
    if kind == 2:
        return HEAD + f"{nasty}\ndef f(x):\n    y = {nasty}\n    return x\n"
    if kind == 3:
        return HEAD + f"def f(x):\n    return {deep(rng)}\n"
    if kind == 4:
        return blow_up(rng)
    if kind == 5:
        return mutated(rng)
    if kind == 6:
        return statements(rng, nasty)
    return soup(rng)


def blow_up(rng: random.Random) -> str:
    """Small programs with enormous meanings."""
    n = rng.choice([30, 60, 200, 2000])
    line = rng.choice(["y = y * y + y", "y = np.sin(y) * y", "y = np.where(y > 0, y, y + y)"])
    loops = "".join(
        f"{'    ' * depth}for i{depth} in range(60):\n" for depth in range(1, rng.randrange(2, 9))
    )
    inner = "    " * (loops.count("\n") + 1)
    return rng.choice(
        [
            HEAD + "def f(x):\n    y = x\n" + f"    {line}\n" * n + "    return y\n",
            HEAD + "def f(x):\n    y = x\n" + loops + f"{inner}{line}\n    return y\n",
            HEAD + "def f(x):\n    return f(x) + 1\n",
            HEAD
            + "def g(x):\n    return h(x)\ndef h(x):\n    return g(x)\n"
            + "def f(x):\n    return g(x)\n",
            HEAD + "A = B\nB = A\ndef f(x):\n    return A * x\n",
            HEAD
            + "".join(
                f"def f{i}(x):\n    return f{i - 1}(f{i - 1}(x))\n"
                if i
                else "def f0(x):\n    return x*x\n"
                for i in range(n)
            )
            + f"def f(x):\n    return f{n - 1}(x)\n",
            HEAD + "def f(x):\n    n = 2\n" + "    n = n * n\n" * n + "    return x * n\n",
            HEAD
            + "def f(x):\n"
            + "".join("    " * (i + 1) + "if True:\n" for i in range(n))
            + "    " * (n + 1)
            + "return x\n",
        ]
    )


def statements(rng: random.Random, nasty: str) -> str:
    body = rng.choice(
        [
            f"    import os\n    os.remove({nasty!r})\n    return x\n",
            f"    with {nasty} as y:\n        return y\n",
            f"    while True:\n        {nasty}\n    return x\n",
            f"    try:\n        return {nasty}\n    except:\n        return x\n",
            f"    global y\n    y = {nasty}\n    return x\n",
            f"    del x\n    return {nasty}\n",
            f"    assert {nasty}\n    return x\n",
            f"    class A(metaclass={nasty}):\n        pass\n    return x\n",
            f"    match x:\n        case {nasty}:\n            return x\n    return x\n",
            f"    x[{nasty}] = 1\n    return x\n",
            f"    x.y = {nasty}\n    return x\n",
            f"    def g(z={nasty}):\n        return z\n    return g()\n",
            f"    async def g():\n        return {nasty}\n    return g()\n",
            "    yield x\n",
            "    raise SystemExit\n",
        ]
    )
    top = rng.choice(["", f"@{nasty}\n", "async ", "class f:\n    pass\n"])
    return HEAD + top + "def f(x):\n" + body


def mutated(rng: random.Random) -> str:
    """Cut, double and change a harmless program."""
    text = list(HEAD + rng.choice(GOOD))
    for _ in range(rng.randrange(1, 12)):
        place = rng.randrange(len(text))
        turn = rng.randrange(4)
        if turn == 0:
            del text[place : place + rng.randrange(1, 9)]
        elif turn == 1:
            text[place:place] = text[place : place + rng.randrange(1, 40)] * rng.randrange(1, 4)
        elif turn == 2:
            text[place] = chr(rng.choice([0, 9, 10, 34, 39, 40, 92, 123, 0x7F, 0x2028, 0x1F600]))
        else:
            text.insert(place, rng.choice(["**", "((", "\n", "\0", "x", "9" * 500, "lambda:", "#"]))
        if not text:
            break
    return "".join(text)


def soup(rng: random.Random) -> str:
    words = (
        "x def f ( ) : return + - * ** / lambda if else for in range [ ] { } = == , . np sin 1 10"
    )
    return " ".join(rng.choice([*words.split(), "\n", "\n    "]) for _ in range(rng.randrange(400)))
