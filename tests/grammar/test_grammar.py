"""Grammars: what they produce, what they refuse, and what their messages say."""

from __future__ import annotations

import functools
import math
from collections import defaultdict
from pathlib import Path

import pytest

from symact import zoo
from symact.errors import GrammarError, ZooError
from symact.expr import (
    Expr,
    distinct,
    literals,
    parameters,
    parse,
    substitute,
    uses_statistics,
)
from symact.expr.primitives import CONST, PRIMITIVES, TYPES
from symact.grammar import HOLES, Derivation, Grammar, grammar_names
from symact.grammar.schema import GrammarFile
from symact.proposers import RandomProposer

NAMES = grammar_names()
FULL = Grammar.load("full")
POINTWISE = Grammar.load("pointwise")
TURBULENT = "sign(x)*log1p(0.5*abs(x)) + 0.2*gaussian((x - mean(x))/(std(x) + 0.000001))*sin(2*x)"


def seed_expr(text: str) -> Expr:
    """A seed is a name of the zoo or a formula."""
    try:
        return zoo.find(text).expr
    except ZooError:
        return parse(text)


@functools.cache
def sentences(name: str) -> list[Expr]:
    """Random sentences of a packaged grammar."""
    return [proposal.expr for proposal in RandomProposer(Grammar.load(name), seed=17).ask(300)]


def rebuilt(derivation: Derivation) -> Expr:
    """What a derivation says the expression is, from its leaves and templates alone."""
    if derivation.production is None:
        return derivation.expr
    parts = map(rebuilt, derivation.children)
    return substitute(derivation.production.template, dict(zip(HOLES, parts, strict=False)))


def test_the_packaged_grammars_load_and_the_default_comes_first():
    assert NAMES[0] == "pointwise"
    expected = {"pointwise", "pointwise-trained", "swish", "periodic", "rational", "batch", "full"}
    assert set(NAMES) == expected
    for name in NAMES:
        grammar = Grammar.load(name)
        assert grammar.name == name
        assert grammar.description.endswith(".")
        assert grammar.productions


@pytest.mark.parametrize("name", NAMES)
def test_a_grammar_reads_itself_back_from_its_text(name):
    grammar = Grammar.load(name)
    again = Grammar.parse(grammar.text)
    assert again.productions == grammar.productions
    assert again.limits == grammar.limits


@pytest.mark.parametrize("name", NAMES)
def test_every_seed_is_a_sentence(name):
    grammar = Grammar.load(name)
    for seed in grammar.seeds:
        grammar.check(seed_expr(seed))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "full"])
def test_no_search_starts_from_a_function_that_a_language_model_found(name):
    found = {known.expr for known in zoo.known() if "2602.05688" in known.source}
    assert found
    assert not found & {seed_expr(seed) for seed in Grammar.load(name).seeds}


@pytest.mark.parametrize(
    "text",
    [
        "where(x > 0, x, 0.1*x)",
        "x*tanh(softplus(x))",
        "tanh(1.5*x)*exp(-0.2*x**2) + 0.1*x",
        TURBULENT,
        "max(x, 0)",
        "x/(1 + abs(x))",
        "exp(x) - 1",
        "x/(x**2 + 1)",
        "min(max(x, -1), 1)",
        "log(x)/x",
        "x/6",
        "-(-x)",
    ],
)
def test_full_produces(text):
    FULL.check(parse(text))


@pytest.mark.parametrize("name", NAMES)
def test_random_sentences_derive_and_their_derivations_make_them(name):
    grammar = Grammar.load(name)
    for expr in sentences(name):
        derivation = grammar.derive(expr)
        assert derivation is not None
        assert rebuilt(derivation) == expr
        assert grammar.is_subtype(derivation.type, grammar.start)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"swish", "pointwise-trained"}))
def test_full_produces_what_the_grammars_of_primitives_produce(name):
    assert [expr for expr in sentences(name) if FULL.derive(expr) is None] == []


@pytest.mark.parametrize("name", NAMES)
def test_only_batch_and_full_read_the_whole_tensor(name):
    found = any(map(uses_statistics, sentences(name)))
    assert found == (name in ("batch", "full"))


@pytest.mark.parametrize("name", NAMES)
def test_no_function_is_applied_to_literals_alone(name):
    """A rule such as ``c*a + (1 - c)*b`` computes with its literal; nothing else does."""
    for expr in sentences(name):
        for node in distinct(expr):
            constant = bool(node.args) and all(arg.op == CONST for arg in node.args)
            assert not constant or (name == "swish" and node.op == "sub"), node


@pytest.mark.parametrize("name", NAMES)
def test_random_sentences_reach_every_primitive_of_their_grammar(name):
    used = {node.op for expr in sentences(name) for node in distinct(expr)}
    rules = {part.op for p in Grammar.load(name).productions for part in distinct(p.template)}
    missing = {op for op in rules & set(PRIMITIVES) if op not in used}
    assert missing == set()


def test_full_produces_every_known_function():
    missing = [known.name for known in zoo.known() if FULL.derive(known.expr) is None]
    assert missing == []


def test_full_has_every_primitive_with_every_signature():
    have = {(p.template.op, p.args, p.result) for p in FULL.productions}
    for row in PRIMITIVES.values():
        for signature in row.signatures:
            assert (row.name, signature.args, signature.result) in have


def test_batch_produces_turbulent_and_the_pointwise_grammars_no_statistics():
    turbulent = parse(TURBULENT)
    assert uses_statistics(turbulent)
    Grammar.load("batch").check(turbulent)
    for name in ("pointwise", "swish", "periodic", "rational"):
        assert Grammar.load(name).derive(parse("x - mean(x)")) is None


@pytest.mark.parametrize(
    "text", ["sin(0.3)", "log(x)", "x/x", "0.5", "x/(x + 1)", "sqrt(x)", "std(x)"]
)
def test_pointwise_does_not_produce(text):
    assert POINTWISE.derive(parse(text)) is None
    with pytest.raises(GrammarError):
        POINTWISE.check(parse(text))


def test_rational_has_no_transcendental_function_and_no_pole():
    rational = Grammar.load("rational")
    assert all(PRIMITIVES[p.template.op].flops < 10 for p in rational.productions)
    rational.check(parse("x/(x**2 + 1)"))
    assert rational.derive(parse("1/x")) is None


@pytest.mark.parametrize(
    ("text", "is_core"),
    [
        ("max(x, sigmoid(x))", True),
        ("x*sigmoid(x)", True),
        ("sigmoid(2*x)*x", True),  # Swish
        ("exp(-(0.5*(x - sin(x))**2))", True),
        ("exp(-(0.5*(x - sin(x))**3))", False),
        ("tanh(x)", False),  # a unary function alone is no core unit
        ("0.5*x + (1 - 0.5)*sin(x)", True),
        ("0.5*x + (1 - 0.25)*sin(x)", False),  # both are the same hole
        ("sin(max(x, -x)) + x", True),
    ],
)
def test_swish_nests_core_units(text, is_core):
    assert (Grammar.load("swish").derive(parse(text)) is not None) == is_core


@pytest.mark.parametrize("name", NAMES)
def test_a_derivation_makes_what_it_derives(name):
    grammar = Grammar.load(name)
    for seed in map(seed_expr, grammar.seeds):
        derivation = grammar.derive(seed)
        assert derivation is not None
        assert rebuilt(derivation) == seed


def test_a_derivation_gives_each_argument_the_type_its_production_asks_for():
    waiting = [FULL.derive(known.expr) for known in zoo.known()]
    while waiting:
        derivation = waiting.pop()
        assert derivation is not None
        if derivation.production is None:
            continue
        assert len(derivation.children) == len(derivation.production.args)
        for child, asked in zip(derivation.children, derivation.production.args, strict=True):
            assert FULL.is_subtype(child.type, asked)
        waiting.extend(derivation.children)


def test_derive_takes_a_type():
    assert POINTWISE.derive(parse("sigmoid(x)"), "Unit") is not None
    assert POINTWISE.derive(parse("x**2"), "Unit") is None
    assert POINTWISE.derive(parse("0.5"), "PositiveConst") is not None
    assert POINTWISE.derive(parse("-0.5"), "PositiveConst") is None
    assert POINTWISE.derive(parse("0"), "PositiveConst") is None
    assert POINTWISE.derive(parse("-0.5"), "Const") is not None


def test_a_grammar_has_any_number_of_terminals_each_with_its_type():
    grammar = Grammar.parse(
        '[terminals]\nx = "Real"\ng = "Positive"\n[productions]\nmul = 1\nlog = 1\ntanh = 1\n'
        '[[rules]]\nrule = "a + g"\nargs = ["Real"]'
    )
    assert dict(grammar.terminals) == {"x": "Real", "g": "Positive"}
    for text in ("log(g)*x", "tanh(x) + g", "g*g"):
        assert grammar.derive(parse(text, ("x", "g"))) is not None
    for text in ("log(x)", "x + tanh(g)", "tanh(h)"):
        assert grammar.derive(parse(text, ("x", "g", "h"))) is None


def test_the_schema_of_a_grammar_file_describes_its_tables():
    schema = GrammarFile.model_json_schema()
    assert set(schema["properties"]) >= {"terminals", "productions", "rules", "limits", "seeds"}
    assert schema["additionalProperties"] is False


def test_check_names_the_smallest_part_that_nothing_produces():
    with pytest.raises(GrammarError, match=r"grammar 'pointwise' does not produce 'log\(x\)'"):
        POINTWISE.check(parse("x + tanh(log(x) + 1)"))
    with pytest.raises(GrammarError, match=r"does not produce '0.5' as Real"):
        POINTWISE.check(parse("0.5"))


def test_other_variables_are_no_sentences():
    assert POINTWISE.derive(parse("y", names=("y",))) is None


def test_a_primitive_brings_the_signatures_that_can_be_fed_and_shares_its_weight_among_them():
    grammar = Grammar.parse("[productions]\nadd = 3.0\nsin = 1.0")
    assert {p.args for p in grammar.productions if p.template.op == "add"} == {("Real", "Real")}
    with_literals = Grammar.parse("[constants]\n[productions]\nadd = 3.0\nsin = 1.0")
    assert len([p for p in with_literals.productions if p.template.op == "add"]) == 3
    for each in (grammar, with_literals, POINTWISE):
        total: dict[str, float] = defaultdict(float)
        for p in each.productions:
            total[p.template.op] += p.weight
        assert math.isclose(total["sin"], 0.8 if each is POINTWISE else 1.0)
        assert math.isclose(total["add"], 3.0)


def test_a_rule_keeps_its_weight_beside_a_primitive_of_the_same_template():
    rules = [p for p in FULL.productions if p.name.startswith("rule")]
    assert len(rules) == 6
    assert all(p.weight == 0.3 for p in rules)


def test_without_constants_a_literal_is_no_sentence():
    grammar = Grammar.parse("[productions]\nadd = 1.0\nmul = 1.0")
    assert grammar.derive(parse("x + x*x")) is not None
    assert grammar.derive(parse("2*x")) is None


def test_types_of_a_grammar_keep_to_their_supertypes():
    grammar = Grammar.parse(
        'start = "Core"\n[types]\nCore = "Real"\n'
        '[[rules]]\nrule = "sigmoid(a)*b"\nargs = ["Core", "Real"]\nresult = "Core"\n'
        '[[rules]]\nrule = "tanh(a)"\nargs = ["Real"]\nresult = "Core"'
    )
    assert grammar.types["Core"] == ("Real",)
    assert grammar.derive(parse("sigmoid(tanh(x))*x")) is not None
    assert grammar.derive(parse("sigmoid(x)*x")) is None


def test_a_file_loads_by_its_path(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("[productions]\ntanh = 1.0\n", encoding="utf-8")
    assert Grammar.load(file).name == "mine"
    assert Grammar.load(str(file)).derive(parse("tanh(tanh(x))")) is not None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "base.toml: not TOML: "),
        ('nam = "a"', "base.toml, key 'nam': unknown; did you mean 'name'?"),
        ("name = 3", "base.toml, key 'name': expected text, got 3"),
        ("name = 'a'\nname = 'b'", "base.toml: not TOML: "),
        ("rules = 3", "base.toml, key 'rules': expected a list, got 3"),
        ("[productions]\ntanhh = 1", "production 'tanhh': unknown primitive; did you mean 'tanh'?"),
        ("[productions]\nfrobnicate = 1", "list them with 'symact grammar primitives'"),
        ("[productions]\nswish = 1", "unknown primitive; did you mean 'silu'?"),
        ('[types]\nA = "B"\nB = "Real"', "key 'types.A': unknown type 'B'; known: Real"),
        ('[limits]\nnodes = "a"', "key 'limits.nodes': expected a whole number above 0, got 'a'"),
        ("[limits]\ndepth = true", "key 'limits.depth': expected a whole number above 0, got True"),
        ('[seeds]\nzoo = "GELU"', "key 'seeds.zoo': expected a list of names or formulas"),
        ("[constants]\nparameters = 3", "key 'constants.parameters': expected two numbers"),
        ("[trained]\nparameters = 3", "key 'trained.parameters': expected two numbers"),
        ("[trained]\nindices = 0", "key 'trained.indices': expected 1 to 100, got 0"),
        ("[trained]\nindex = 2", "key 'trained.index': unknown; did you mean 'indices'?"),
        ('[terminals]\nparam = "Real"', "'param' has another meaning in formulas"),
        ('[constants]\nparameters = ["a", 1]', "key 'constants.parameters': expected two numbers"),
        ('rules = [{rule = "sin(a", args = ["Real"]}]', "column 6: expected ')', found the end"),
        ('rules = [{rule = "a < 1", args = ["Real"]}]', "a comparison is not a number"),
        (
            'rules = [{rule = "sin(a)", args = ["Real"], result = "Const"}]',
            "rule 'sin(a)': expected a subtype of Real or a type of this file, got 'Const'",
        ),
        (
            'rules = [{rule = "sin(a)", args = ["Real"], weight = nan}]',
            "rule 1, key 'weight': expected a number above 0, got nan",
        ),
        (
            'rules = [{rule = "sin(a)", args = ["Real"], weight = "x"}]',
            "rule 1, key 'weight': expected a number above 0, got 'x'",
        ),
        ("productions = 3", "base.toml, key 'productions': expected a table, got 3"),
        ("[productions]\ntahn = 1", "production 'tahn': unknown primitive; did you mean 'tanh'?"),
        ("[productions]\ntanh = 0", "production 'tanh': expected a number above 0, got 0"),
        ("[productions]\ntanh = -1.5", "production 'tanh': expected a number above 0, got -1.5"),
        ("[productions]\ntanh = nan", "production 'tanh': expected a number above 0, got nan"),
        ("[productions]\ntanh = inf", "production 'tanh': expected a number above 0, got inf"),
        ("[productions]\ntanh = true", "production 'tanh': expected a number above 0, got True"),
        ('[productions]\ntanh = "a"', "production 'tanh': expected a number above 0, got 'a'"),
        (
            "[productions]\nlog = 1",
            "base.toml, production 'log': argument 1 has type 'Positive', which nothing produces. "
            "Known types: Real",
        ),
        ("[productions]\nwhere = 1", "argument 1 has type 'Bool', which nothing produces"),
        ('start = "Rael"', "key 'start': unknown type 'Rael'; did you mean 'Real'?"),
        ('start = "Unit"', "base.toml, key 'start': nothing produces type 'Unit'"),
        ('[types]\nCore = "Rael"', "key 'types.Core': unknown type 'Rael'; did you mean 'Real'?"),
        ('[types]\nReal = "Unit"', "key 'types.Real': a new type needs an unused name"),
        ("[types]\nCore = 3", "key 'types.Core': expected a type or a list of types, got 3"),
        ('[terminals]\nsin = "Real"', "key 'terminals.sin': 'sin' has another meaning"),
        ('[terminals]\na = "Real"', "key 'terminals.a': 'a' has another meaning"),
        ('[terminals]\npi = "Real"', "key 'terminals.pi': 'pi' has another meaning"),
        ('[terminals]\n"x 1" = "Real"', "key 'terminals.x 1': expected a name of letters"),
        ("[terminals]", "key 'terminals': expected at least 1 item"),
        ('[terminals]\nx = "Rael"', "key 'terminals.x': unknown type 'Rael'; did you mean 'Real'?"),
        ("[terminals]\nx = 3", "key 'terminals.x': expected text, got 3"),
        ("[constants]\ndigit = 2", "key 'constants.digit': unknown; did you mean 'digits'?"),
        ("[constants]\ndigits = 0", "key 'constants.digits': expected 1 to 15, got 0"),
        (
            '[constants]\ndistribution = "norml"',
            "key 'constants.distribution': unknown 'norml'; did you mean 'normal'?",
        ),
        ("[constants]\nparameters = [1.0]", "key 'constants.parameters': expected two numbers"),
        ("[constants]\nparameters = [0.0, nan]", "key 'constants.parameters': expected two"),
        ("[constants]\nparameters = [0.0, -1.0]", "key 'constants.parameters': the second number"),
        (
            '[constants]\ndistribution = "uniform"\nparameters = [2.0, 1.0]',
            "key 'constants.parameters': the second number must be larger",
        ),
        (
            '[constants]\ndistribution = "log-uniform"\nparameters = [0.0, 1.0]',
            "key 'constants.parameters': the first number must be above 0 (log-uniform)",
        ),
        (
            '[constants]\ndistribution = "log-uniform"\nparameters = [2.0, 1.0]',
            "key 'constants.parameters': the second number must be larger",
        ),
        (
            '[constants]\ndistribution = "choice"\nparameters = []',
            "key 'constants.parameters': expected numbers",
        ),
        (
            '[constants]\ndistribution = "choice"\nparameters = [0.0]',
            "key 'constants.parameters': the largest absolute value must be from 0.0001 to 1e+09",
        ),
        ("[constants]\nparameters = [0.0, 1e-9]", "the largest absolute value must be from 0.0001"),
        (
            "[constants]\nparameters = [0.0, 1e300]",
            "the largest absolute value must be from 0.0001",
        ),
        ("[constants]\ndigits = true", "key 'constants.digits': expected 1 to 15, got True"),
        ('start = "Bool"\n[productions]\nlt = 1', "key 'start': expected a subtype of Real"),
        ('start = "Const"\n[constants]', "key 'start': expected a subtype of Real"),
        ('[terminals]\nx = "Bool"', "key 'terminals.x': expected a subtype of Real"),
        ('[terminals]\nx = "Const"', "key 'terminals.x': expected a subtype of"),
        ('rules = [{rule = "0.5*x"}]', "rule 1, key 'args': required, but not given"),
        ('rules = [{rule = "sin(a)", args = ["Bool"]}]', "an argument of a rule must be a number"),
        (
            'rules = [{rule = "sin(a)", args = ["Real"], result = "Bool"}]',
            "rule 'sin(a)': expected a subtype of Real or a type of this file, got 'Bool'",
        ),
        (
            '[productions]\nlog = 1\n[[rules]]\nrule = "log(a)"\nargs = ["Real"]\nresult = "Real"',
            "production 'log': argument 1 has type 'Positive'",
        ),
        ("[constants]\nweight = 1", "key 'constants.weight': unknown"),
        ("[limits]\nnode = 3", "key 'limits.node': unknown; did you mean 'nodes'?"),
        ("[limits]\nnodes = 0", "key 'limits.nodes': expected a whole number above 0, got 0"),
        ("[limits]\nflops = 1.5", "key 'limits.flops': expected a whole number above 0, got 1.5"),
        (
            'start = "Unit"\n[productions]\nsigmoid = 1\n[limits]\nnodes = 1',
            "key 'limits.nodes': 1 is too small; the smallest expression has 2",
        ),
        (
            'start = "Unit"\n[productions]\nsigmoid = 1\n[limits]\ndepth = 1',
            "key 'limits.depth': 1 is too small; the smallest expression has 2",
        ),
        (
            'start = "Unit"\n[productions]\nsigmoid = 1\n[limits]\nflops = 3',
            "key 'limits.flops': 3 is too small; the smallest expression has 15",
        ),
        ("[seeds]\nzoos = []", "key 'seeds.zoos': unknown; did you mean 'zoo'?"),
        ("[seeds]\nzoo = [3]", "key 'seeds.zoo': expected a list of names or formulas"),
        ("[constraints]\nmax_slop = 1", "key 'constraints.max_slop': unknown; did you mean"),
        ("[constraints]\nmax_slope = 0", "key 'constraints.max_slope': expected a number above 0"),
        ("rules = [3]", "rule 1: expected a table, got 3"),
        ('rules = [{args = ["Real"]}]', "rule 1, key 'rule': required, but not given"),
        ('rules = [{rule = "x", args = []}]', "rule 1, key 'args': expected at least 1 item"),
        ('rules = [{rule = "a", arg = []}]', "rule 1, key 'arg': unknown; did you mean 'args'?"),
        (
            'rules = [{rule = "sni(a)", args = ["Real"]}]',
            "rule 'sni(a)': 'sni(a)', column 1: unknown function 'sni'; did you mean 'sin'?",
        ),
        ('rules = [{rule = "a + b", args = ["Real"]}]', "unknown name 'b'"),
        (
            'rules = [{rule = "sin(a)", args = ["Real", "Real"]}]',
            "rule 'sin(a)': argument 'b' is not used",
        ),
        (
            'rules = [{rule = "sin(a)", args = ["Rael"]}]',
            "rule 'sin(a)': unknown type 'Rael'; did you mean 'Real'?",
        ),
        (
            'rules = [{rule = "sin(a)", args = ["Real"], result = "Rael"}]',
            "rule 'sin(a)': unknown type 'Rael'; did you mean 'Real'?",
        ),
        (
            'rules = [{rule = "sin(a)", args = ["Real"], weight = 0}]',
            "rule 1, key 'weight': expected a number above 0, got 0",
        ),
        (
            'rules = [{rule = "sin(a)", args = ["Unit"]}]',
            "argument 1 has type 'Unit', which nothing produces",
        ),
    ],
)
def test_a_malformed_grammar_is_refused_in_one_line(text, message):
    with pytest.raises(GrammarError) as error:
        Grammar.parse(text, source="base.toml")
    assert message in str(error.value)
    assert "base.toml" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"[productions]\ntanh = 1{'0' * 400}", "production 'tanh': expected a number above 0"),
        (f"[constants]\nparameters = [0, 1{'0' * 400}]", "key 'constants.parameters'"),
        ('"a\\nb" = 1', "unknown; known: name"),
    ],
    ids=["weight", "parameter", "line break"],
)
def test_numbers_beyond_floats_and_keys_with_line_breaks_are_refused_in_one_line(text, message):
    with pytest.raises(GrammarError) as error:
        Grammar.parse(text, source="base.toml")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_derivation_does_not_depend_on_what_was_derived_before():
    grammar = Grammar.parse(
        'start = "B"\n[types]\nA = "Real"\nB = "Real"\n'
        '[[rules]]\nrule = "a"\nargs = ["B"]\nresult = "A"\n'
        '[[rules]]\nrule = "tanh(a)"\nargs = ["Real"]\nresult = "A"\n'
        '[[rules]]\nrule = "a"\nargs = ["A"]\nresult = "B"'
    )
    assert grammar.derive(parse("tanh(x)"), "A") is not None
    assert grammar.derive(parse("tanh(x)"), "B") is not None


def test_trained_parameters_stand_where_literals_of_either_sign_do():
    grammar = Grammar.parse("[trained]\n[productions]\nmul = 1.0\nadd = 1.0\nsin = 1.0")
    for text in ("param(0.5)*x", "sin(x + param(-2, 3))", "param(1)*x*param(1, 1)"):
        assert rebuilt(grammar.derive(parse(text))) == parse(text)
    for text in ("sin(param(1))", "param(1)", "param(1)*param(2)", "2*x"):
        assert grammar.derive(parse(text)) is None
    found = [p.expr for p in RandomProposer(grammar, seed=0).ask(50)]
    assert any(map(parameters, found))
    assert not any(map(literals, found))


def test_trained_parameters_are_drawn_beside_literals():
    found = sentences("pointwise-trained")
    assert sum(bool(parameters(expr)) for expr in found) > 10
    assert sum(bool(literals(expr)) for expr in found) > 30
    starts = [abs(own.parameter[0]) for expr in found for own in parameters(expr)]
    assert min(starts) >= 0.1
    assert max(starts) <= 2.0


def test_indices_tell_parameters_with_one_initial_value_apart():
    table = '[trained]\ndistribution = "choice"\nparameters = [1.0]\nindices = 3'
    grammar = Grammar.parse(f"{table}\n[productions]\nmul = 1.0\nadd = 1.0")
    found = [p.expr for p in RandomProposer(grammar, seed=0).ask(60)]
    leaves = {own.parameter for expr in found for own in parameters(expr)}
    assert leaves == {(1.0, 0), (1.0, 1), (1.0, 2)}


def test_a_message_names_the_file_that_was_loaded(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("[productions]\ntanhh = 1\n", encoding="utf-8")
    with pytest.raises(GrammarError, match=r"^mine\.toml, production 'tanhh': unknown primitive"):
        Grammar.load(file)


def test_an_unknown_grammar_far_from_all_lists_them():
    with pytest.raises(GrammarError, match=r"unknown grammar 'zzz'; known: pointwise, .*, swish"):
        Grammar.load("zzz")


def test_an_unknown_grammar_names_the_nearest():
    with pytest.raises(GrammarError, match="unknown grammar 'pointwize'; did you mean 'pointwise'"):
        Grammar.load("pointwize")


def test_a_file_that_cannot_be_read_is_refused_in_one_line(tmp_path):
    for content in (None, b"\xff\xfe name"):
        file = tmp_path / "mine.toml"
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(GrammarError, match=r"mine\.toml: cannot be read") as error:
            Grammar.load(file)
        assert "\n" not in str(error.value)


def test_the_types_of_a_grammar_begin_with_those_of_the_language():
    for name in NAMES:
        assert list(Grammar.load(name).types)[: len(TYPES)] == list(TYPES)


def test_the_grammars_stand_in_the_top_level_folder():
    folder = Path(__file__).resolve().parents[2] / "grammars"
    assert {file.stem for file in folder.glob("*.toml")} == set(NAMES)
    for file in folder.glob("*.toml"):
        assert Grammar.load(file).text == Grammar.load(file.stem).text
