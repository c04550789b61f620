"""Table of library functions: parameters, defaults and meaning.

A row has the form ``names(signature) = meaning``:

* ``names`` are separated by ``|``. ``{}`` in the meaning stands for the name.
* ``signature`` has Python syntax. ``~ufunc`` stands for the keyword arguments of a NumPy ufunc.
* The meaning is a formula in the parameters, ``@rule(parameters)`` for a function of
  :mod:`symact.importers.rules`, ``-> row`` for a layer that applies another row, or
  ``! reason`` for a function that is always refused. A text after ``#`` becomes a note.

A parameter that the meaning does not use must have a value without effect
(:mod:`symact.importers.calls`). Signatures follow torch 2.13, NumPy 2.4,
SciPy 1.17, JAX 0.10, TensorFlow 2.16 and Keras 3.15.
"""

from __future__ import annotations

#: The keyword arguments of a NumPy ufunc.
UFUNC = "out=None, *, where=True, casting='same_kind', order='K', dtype=None, subok=True"

#: Modules with the same functions as another module.
ALIASES = {
    "flax.linen": "jax.nn",
    "flax.nnx": "jax.nn",
    "tensorflow.keras": "keras",
    "tf_keras": "keras",
    "torch.nn.modules.activation": "torch.nn",
    "torch.nn.parameter": "torch.nn",
}

#: Parameters of torch with an alternative name of NumPy.
TORCH_NAMES = {
    "x": "input",
    "a": "input",
    "x1": "input",
    "x2": "other",
    "axis": "dim",
    "keepdims": "keepdim",
}

_SHRINKS = """
softshrink(input, lambd=0.5) = where(input > lambd, input - lambd, where(input < -lambd, input + lambd, 0))
hardshrink(input, lambd=0.5) = where(abs(input) > lambd, input, 0)
"""

TABLE = {
    "math": """
sin|cos|tanh|sqrt|log1p|atan|asinh|erf(x, /) = {}(x)
exp(x, /) = exp(x)
fabs(x, /) = abs(x)
log(x, base=None, /) = @log(x, base)
log2(x, /) = log(x)/0.6931471805599453
log10(x, /) = log(x)/2.302585092994046
exp2(x, /) = exp(0.6931471805599453*x)
expm1(x, /) = tanh(0.5*x)*(exp(x) + 1)
sinh(x, /) = 0.5*tanh(x)*(exp(x) + exp(-x))
cosh(x, /) = 0.5*(exp(x) + exp(-x))
tan(x, /) = sin(x)/cos(x)
cbrt(x, /) = sign(x)*exp(log(abs(x))/3)
pow(x, y, /) = @power(x, y)
radians(x, /) = 0.017453292519943295*x
erfc(x, /) = ! no primitive keeps the relative accuracy of its tail; gelu(x) and 1 - erf(x) do exist
floor|ceil|trunc|fmod|remainder(*args) = ! no primitive rounds
""",
    "builtins": """
abs(x, /) = abs(x)
max(*args, key=None, default=None) = @largest(args)
min(*args, key=None, default=None) = @smallest(args)
sum(iterable, /, start=0) = @total(iterable, start)
pow(base, exp, mod=None) = @power(base, exp)
float(x=0.0, /) = @python_float(x)
int(x=0, /) = @python_int(x)
bool(x=False, /) = @python_bool(x)
len(obj, /) = @length(obj)
range(*args) = @range(args)
enumerate(iterable, start=0) = @enumerate(iterable, start)
zip(*args, strict=False) = @zip(args)
list|tuple(iterable=(), /) = @sequence(iterable)
reversed(sequence, /) = @reversed(sequence)
round|divmod(*args, **kwargs) = ! no primitive rounds
""",
    "numpy": """
sin|cos|tanh|exp|log|log1p|sqrt|square|sign(x, /, ~ufunc) = {}(x)
abs|absolute|fabs(x, /, ~ufunc) = abs(x)
arctan|atan(x, /, ~ufunc) = atan(x)
arcsinh|asinh(x, /, ~ufunc) = asinh(x)
negative(x, /, ~ufunc) = -x
positive(x, /, ~ufunc) = x
conjugate|conj(x, /, ~ufunc) = x
reciprocal(x, /, ~ufunc) = 1/x
exp2(x, /, ~ufunc) = exp(0.6931471805599453*x)
expm1(x, /, ~ufunc) = tanh(0.5*x)*(exp(x) + 1)
log2(x, /, ~ufunc) = log(x)/0.6931471805599453
log10(x, /, ~ufunc) = log(x)/2.302585092994046
sinh(x, /, ~ufunc) = 0.5*tanh(x)*(exp(x) + exp(-x))
cosh(x, /, ~ufunc) = 0.5*(exp(x) + exp(-x))
tan(x, /, ~ufunc) = sin(x)/cos(x)
cbrt(x, /, ~ufunc) = sign(x)*exp(log(abs(x))/3)
deg2rad|radians(x, /, ~ufunc) = 0.017453292519943295*x
sinc(x) = sinc(x)
add(x1, x2, /, ~ufunc) = x1 + x2
subtract(x1, x2, /, ~ufunc) = x1 - x2
multiply(x1, x2, /, ~ufunc) = x1*x2
divide|true_divide(x1, x2, /, ~ufunc) = x1/x2
power|pow|float_power(x1, x2, /, ~ufunc) = @power(x1, x2)
maximum(x1, x2, /, ~ufunc) = max(x1, x2)
minimum(x1, x2, /, ~ufunc) = min(x1, x2)
fmax(x1, x2, /, ~ufunc) = max(x1, x2)
fmin(x1, x2, /, ~ufunc) = min(x1, x2)
logaddexp(x1, x2, /, ~ufunc) = @logaddexp(x1, x2)
logaddexp2(x1, x2, /, ~ufunc) = max(x1, x2) + softplus(-0.6931471805599453*abs(x1 - x2))/0.6931471805599453
heaviside(x1, x2, /, ~ufunc) = where(x1 > 0, 1, where(x1 < 0, 0, x2))
greater(x1, x2, /, ~ufunc) = @gt(x1, x2)
greater_equal(x1, x2, /, ~ufunc) = @ge(x1, x2)
less(x1, x2, /, ~ufunc) = @lt(x1, x2)
less_equal(x1, x2, /, ~ufunc) = @le(x1, x2)
equal(x1, x2, /, ~ufunc) = @eq(x1, x2)
not_equal(x1, x2, /, ~ufunc) = @ne(x1, x2)
logical_and|bitwise_and(x1, x2, /, ~ufunc) = @both(x1, x2)
logical_or|bitwise_or(x1, x2, /, ~ufunc) = @either(x1, x2)
logical_not(x, /, ~ufunc) = @neither(x)
where(condition, x, y, /) = @where(condition, x, y)
select(condlist, choicelist, default=0) = @select(condlist, choicelist, default)
clip(a, a_min=None, a_max=None, out=None, *, min=None, max=None, where=True, casting=None, dtype=None) = @clip_numpy(a, a_min, a_max, min, max)
nan_to_num(x, copy=True, nan=0.0, posinf=None, neginf=None) = @finite(x, nan, posinf, neginf)
mean(a, axis=None, dtype=None, out=None, keepdims=False, *, where=True) = @mean(a, axis, keepdims)
average(a, axis=None, weights=None, returned=False, *, keepdims=False) = @mean(a, axis, keepdims)
std(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False, *, where=True, mean=None, correction=None) = @std(a, axis, ddof, correction, keepdims)
var(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False, *, where=True, mean=None, correction=None) = @var(a, axis, ddof, correction, keepdims)
asarray|asanyarray(a, dtype=None, order=None, *, device=None, copy=None, like=None) = @tensor(a, dtype)
ascontiguousarray(a, dtype=None, *, like=None) = @tensor(a, dtype)
array(object, dtype=None, *, copy=True, order='K', subok=False, ndmin=0, like=None) = @tensor(object, dtype)
copy(a, order='K', subok=False) = @copy(a)
zeros_like(a, dtype=None, order='K', subok=True, shape=None, *, device=None) = @zeros_like(a, dtype)
ones_like(a, dtype=None, order='K', subok=True, shape=None, *, device=None) = @ones_like(a, dtype)
full_like(a, fill_value, dtype=None, order='K', subok=True, shape=None, *, device=None) = @like(a, fill_value, dtype)
zeros(shape, dtype=None, order='C', *, device=None, like=None) = @zeros(shape, dtype)
ones(shape, dtype=None, order='C', *, device=None, like=None) = @ones(shape, dtype)
full(shape, fill_value, dtype=None, order='C', *, device=None, like=None) = @filled(shape, fill_value, dtype)
float32|float64|single|double|longdouble(x=0.0, /) = @tensor(x)
float16|half(x=0.0, /) = @cast(x, 'float16')
max|min|amax|amin|sum|prod|cumsum|ptp|median|percentile|argmax|argmin|sort|any|all|dot|matmul|nanmean(*args, **kwargs) = ! over features, not of one element
floor|ceil|trunc|fix|round|around|rint|floor_divide|mod|remainder|fmod|int8|int16|int32|int64|int_|intp|uint8|bool_(*args, **kwargs) = ! no primitive rounds
""",
    "jax.numpy": """
sin|cos|tanh|exp|log|log1p|sqrt|square|sign|sinc(x, /) = {}(x)
abs|absolute|fabs(x, /) = abs(x)
arctan|atan(x, /) = atan(x)
arcsinh|asinh(x, /) = asinh(x)
negative(x, /) = -x
positive(x, /) = x
reciprocal(x, /) = 1/x
exp2(x, /) = exp(0.6931471805599453*x)
expm1(x, /) = tanh(0.5*x)*(exp(x) + 1)
log2(x, /) = log(x)/0.6931471805599453
log10(x, /) = log(x)/2.302585092994046
sinh(x, /) = 0.5*tanh(x)*(exp(x) + exp(-x))
cosh(x, /) = 0.5*(exp(x) + exp(-x))
tan(x, /) = sin(x)/cos(x)
cbrt(x, /) = sign(x)*exp(log(abs(x))/3)
add(x1, x2, /, out=None, where=None) = x1 + x2
subtract(x1, x2, /, out=None, where=None) = x1 - x2
multiply(x1, x2, /, out=None, where=None) = x1*x2
divide|true_divide(x1, x2, /) = x1/x2
power|pow|float_power(x1, x2, /) = @power(x1, x2)
maximum(x1, x2, /, out=None, where=None) = max(x1, x2)
minimum(x1, x2, /, out=None, where=None) = min(x1, x2)
fmax(x1, x2, /) = max(x1, x2)
fmin(x1, x2, /) = min(x1, x2)
logaddexp(x1, x2, /, out=None, where=None) = @logaddexp(x1, x2)
logaddexp2(x1, x2, /, out=None, where=None) = max(x1, x2) + softplus(-0.6931471805599453*abs(x1 - x2))/0.6931471805599453
heaviside(x1, x2, /) = where(x1 > 0, 1, where(x1 < 0, 0, x2))
greater(x1, x2, /) = @gt(x1, x2)
greater_equal(x1, x2, /) = @ge(x1, x2)
less(x1, x2, /) = @lt(x1, x2)
less_equal(x1, x2, /) = @le(x1, x2)
equal(x1, x2, /) = @eq(x1, x2)
not_equal(x1, x2, /) = @ne(x1, x2)
logical_and|bitwise_and(x1, x2, /, out=None, where=None) = @both(x1, x2)
logical_or|bitwise_or(x1, x2, /, out=None, where=None) = @either(x1, x2)
logical_not(x, /) = @neither(x)
where(condition, x, y, /, *, size=None, fill_value=None) = @where(condition, x, y)
select(condlist, choicelist, default=0) = @select(condlist, choicelist, default)
clip(arr, min=None, max=None, *, a_min=None, a_max=None) = @clip_numpy(arr, min, max, a_min, a_max)
nan_to_num(x, copy=True, nan=0.0, posinf=None, neginf=None) = @finite(x, nan, posinf, neginf)
mean(a, axis=None, dtype=None, out=None, keepdims=False, *, where=None) = @mean(a, axis, keepdims)
average(a, axis=None, weights=None, returned=False, keepdims=False) = @mean(a, axis, keepdims)
std(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False, *, where=None, mean=None, correction=None) = @std(a, axis, ddof, correction, keepdims)
var(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False, *, where=None, mean=None, correction=None) = @var(a, axis, ddof, correction, keepdims)
asarray(a, dtype=None, order=None, *, copy=None, device=None, out_sharding=None) = @tensor(a, dtype)
array(object, dtype=None, *, copy=True, order='K', ndmin=0, device=None, out_sharding=None) = @tensor(object, dtype)
astype(x, dtype, /, *, copy=False, device=None) = @cast(x, dtype)
copy(a, order=None) = @copy(a)
zeros_like(a, dtype=None, shape=None, *, device=None, out_sharding=None) = @zeros_like(a, dtype)
ones_like(a, dtype=None, shape=None, *, device=None, out_sharding=None) = @ones_like(a, dtype)
full_like(a, fill_value, dtype=None, shape=None, *, device=None, out_sharding=None) = @like(a, fill_value, dtype)
zeros(shape, dtype=None, *, device=None, out_sharding=None) = @zeros(shape, dtype)
ones(shape, dtype=None, *, device=None, out_sharding=None) = @ones(shape, dtype)
full(shape, fill_value, dtype=None, *, device=None, out_sharding=None) = @filled(shape, fill_value, dtype)
float32|float64(x, /) = @tensor(x)
float16|bfloat16(x, /) = @cast(x, 'float16')
max|min|amax|amin|sum|prod|cumsum|median|argmax|argmin|sort|any|all|dot|matmul(*args, **kwargs) = ! over features, not of one element
floor|ceil|trunc|fix|round|rint|floor_divide|mod|remainder|fmod|int8|int16|int32|int64|uint8|bool_(*args, **kwargs) = ! no primitive rounds
""",
    "jax.nn": """
relu|sigmoid|silu|softplus|tanh(x) = {}(x)
swish(x) = silu(x)
identity(x) = x
soft_sign(x) = softsign(x)
relu6(x) = min(relu(x), 6)
elu(x, alpha=1.0) = where(x > 0, x, alpha*(exp(min(x, 0)) - 1))
celu(x, alpha=1.0) = where(x > 0, x, alpha*(exp(min(x, 0)/alpha) - 1))
selu(x) = 1.0507009873554805*where(x > 0, x, 1.6732632423543772*(exp(min(x, 0)) - 1))
gelu(x, approximate=True) = @gelu(x, approximate)
leaky_relu(x, negative_slope=0.01) = where(x >= 0, x, negative_slope*x)
hard_tanh(x) = min(max(x, -1), 1)
hard_sigmoid(x) = min(max(x/6 + 0.5, 0), 1)
hard_swish|hard_silu(x) = x*min(max(x/6 + 0.5, 0), 1)
log_sigmoid(x) = -softplus(-x)
mish(x) = x*tanh(softplus(x))
squareplus(x, b=4) = 0.5*(x + sqrt(x**2 + b))
sparse_plus(x) = where(x <= -1, 0, where(x < 1, 0.25*(x + 1)**2, x))
sparse_sigmoid(x) = min(max(0.5*(x + 1), 0), 1)
softmax|log_softmax|glu|logsumexp|standardize|logmeanexp(*args, **kwargs) = ! over features, not of one element
""",
    "jax.lax": """
sin|cos|tanh|exp|log|log1p|sqrt(x, *, accuracy=None) = {}(x)
square|abs|sign|erf|asinh|atan(x) = {}(x)
logistic(x, *, accuracy=None) = sigmoid(x)
expm1(x, *, accuracy=None) = tanh(0.5*x)*(exp(x) + 1)
rsqrt(x, *, accuracy=None) = 1/sqrt(x)
cbrt(x, *, accuracy=None) = sign(x)*exp(log(abs(x))/3)
neg(x) = -x
reciprocal(x) = 1/x
add(x, y) = x + y
sub(x, y) = x - y
mul(x, y, *, out_dtype=None) = x*y
div(x, y) = x/y
max(x, y) = max(x, y)
min(x, y) = min(x, y)
pow|integer_pow(x, y) = @power(x, y)
clamp(min, x, max) = @clip(x, min, max)
select(pred, on_true, on_false) = @where(pred, on_true, on_false)
gt|ge|lt|le|eq|ne(x, y) = @{}(x, y)
convert_element_type(operand, new_dtype) = @cast(operand, new_dtype)
erfc(x) = ! no primitive keeps the relative accuracy of its tail; gelu(x) and 1 - erf(x) do exist
floor|ceil|round|rem(*args, **kwargs) = ! no primitive rounds
stop_gradient(x) = ! a stopped gradient has no primitive
""",
    "scipy.special": """
erf(x, /, ~ufunc) = erf(x)
expit(x, /, ~ufunc) = sigmoid(x)
log_expit(x, /, ~ufunc) = -softplus(-x)
exp2(x, /, ~ufunc) = exp(0.6931471805599453*x)
exp10(x, /, ~ufunc) = exp(2.302585092994046*x)
expm1(x, /, ~ufunc) = tanh(0.5*x)*(exp(x) + 1)
log1p(x, /, ~ufunc) = log1p(x)
cbrt(x, /, ~ufunc) = sign(x)*exp(log(abs(x))/3)
softplus(x, /, ~ufunc) = softplus(x)
ndtr(x, /, ~ufunc) = 0.5*(1 + erf(0.7071067811865476*x)) # ndtr is 0.5*(1 + erf(x/sqrt(2))), without relative accuracy below -5
erfc|erfcx(*args, **kwargs) = ! no primitive keeps the relative accuracy of its tail; gelu(x) and 1 - erf(x) do exist
log_ndtr|logit|xlogy|xlog1py|entr|boxcox(*args, **kwargs) = ! it has no primitive
softmax|log_softmax|logsumexp(*args, **kwargs) = ! over features, not of one element
""",
    "jax.scipy.special": """
erf(x) = erf(x)
expit(x) = sigmoid(x)
ndtr(x) = 0.5*(1 + erf(0.7071067811865476*x)) # ndtr is 0.5*(1 + erf(x/sqrt(2))), without relative accuracy below -5
erfc(x) = ! no primitive keeps the relative accuracy of its tail; gelu(x) and 1 - erf(x) do exist
log_ndtr|logit|xlogy|xlog1py|entr(*args, **kwargs) = ! it has no primitive
softmax|log_softmax|logsumexp(*args, **kwargs) = ! over features, not of one element
""",
    "scipy.stats.norm": """
cdf(x, loc=0, scale=1) = @normal_cdf(x, loc, scale) # the normal cdf is 0.5*(1 + erf(x/sqrt(2))), without relative accuracy below -5
pdf(x, loc=0, scale=1) = @normal_pdf(x, loc, scale)
""",
    "torch": """
sin|cos|tanh|exp|log|log1p|sqrt|square|abs|erf|sigmoid|sinc|atan|asinh|sign(input, *, out=None) = {}(input)
absolute(input, *, out=None) = abs(input)
sgn(input, *, out=None) = sign(input)
arctan(input, *, out=None) = atan(input)
arcsinh(input, *, out=None) = asinh(input)
neg|negative(input, *, out=None) = -input
positive|conj|real|resolve_conj(input) = input
relu(input) = relu(input)
selu(input, inplace=False) = 1.0507009873554805*where(input > 0, input, 1.6732632423543772*(exp(min(input, 0)) - 1))
celu(input, alpha=1.0, inplace=False) = where(input > 0, input, alpha*(exp(min(input, 0)/alpha) - 1))
prelu(input, weight) = where(input >= 0, input, weight*input)
threshold(input, threshold, value, inplace=False) = where(input > threshold, input, value)
exp2(input, *, out=None) = exp(0.6931471805599453*input)
expm1(input, *, out=None) = tanh(0.5*input)*(exp(input) + 1)
log2(input, *, out=None) = log(input)/0.6931471805599453
log10(input, *, out=None) = log(input)/2.302585092994046
sinh(input, *, out=None) = 0.5*tanh(input)*(exp(input) + exp(-input))
cosh(input, *, out=None) = 0.5*(exp(input) + exp(-input))
tan(input, *, out=None) = sin(input)/cos(input)
deg2rad(input, *, out=None) = 0.017453292519943295*input
reciprocal(input, *, out=None) = 1/input
rsqrt(input, *, out=None) = 1/sqrt(input)
add(input, other, *, alpha=1, out=None) = input + alpha*other
sub|subtract(input, other, *, alpha=1, out=None) = input - alpha*other
rsub(input, other, *, alpha=1) = other - alpha*input
mul|multiply(input, other, *, out=None) = input*other
div|divide(input, other, *, rounding_mode=None, out=None) = input/other
true_divide(input, other, *, out=None) = input/other
lerp(input, end, weight, *, out=None) = input + weight*(end - input)
addcmul(input, tensor1, tensor2, *, value=1, out=None) = input + value*(tensor1*tensor2)
addcdiv(input, tensor1, tensor2, *, value=1, out=None) = input + value*(tensor1/tensor2)
pow|float_power(input, exponent, *, out=None) = @power(input, exponent)
maximum|fmax(input, other, *, out=None) = max(input, other)
minimum|fmin(input, other, *, out=None) = min(input, other)
max(input, other=None, *args, **kwargs) = @two("max", input, other, args, kwargs)
min(input, other=None, *args, **kwargs) = @two("min", input, other, args, kwargs)
logaddexp(input, other, *, out=None) = @logaddexp(input, other)
logaddexp2(input, other, *, out=None) = max(input, other) + softplus(-0.6931471805599453*abs(input - other))/0.6931471805599453
heaviside(input, values, *, out=None) = where(input > 0, 1, where(input < 0, 0, values))
gt|ge|lt|le|eq|ne(input, other, *, out=None) = @{}(input, other)
greater(input, other, *, out=None) = @gt(input, other)
greater_equal(input, other, *, out=None) = @ge(input, other)
less(input, other, *, out=None) = @lt(input, other)
less_equal(input, other, *, out=None) = @le(input, other)
not_equal(input, other, *, out=None) = @ne(input, other)
logical_and|bitwise_and(input, other, *, out=None) = @both(input, other)
logical_or|bitwise_or(input, other, *, out=None) = @either(input, other)
logical_not|bitwise_not(input, *, out=None) = @neither(input)
where(condition, input, other, *, out=None) = @where(condition, input, other)
masked_fill(input, mask, value) = @where(mask, value, input)
clamp|clip(input, min=None, max=None, *, out=None) = @clip(input, min, max)
clamp_min(input, min, *, out=None) = max(input, min)
clamp_max(input, max, *, out=None) = min(input, max)
nan_to_num(input, nan=0.0, posinf=None, neginf=None, *, out=None) = @finite(input, nan, posinf, neginf)
mean(input, dim=None, keepdim=False, *, dtype=None, out=None) = @mean(input, dim, keepdim)
std(input, dim=None, unbiased=True, keepdim=False, *, correction=1, out=None) = @torch_std(input, dim, unbiased, correction, keepdim)
var(input, dim=None, unbiased=True, keepdim=False, *, correction=1, out=None) = @torch_var(input, dim, unbiased, correction, keepdim)
tensor(data, *, dtype=None, device=None, requires_grad=False, pin_memory=False) = @tensor(data, dtype)
as_tensor|asarray(data, dtype=None, device=None) = @tensor(data, dtype)
scalar_tensor(data, *, dtype=None, device=None, requires_grad=False) = @tensor(data, dtype)
from_numpy(data, /) = @tensor(data)
clone(input, *, memory_format=None) = @copy(input)
zeros_like(input, *, dtype=None, layout=None, device=None, requires_grad=False, memory_format=None) = @zeros_like(input, dtype)
ones_like(input, *, dtype=None, layout=None, device=None, requires_grad=False, memory_format=None) = @ones_like(input, dtype)
full_like(input, fill_value, *, dtype=None, layout=None, device=None, requires_grad=False, memory_format=None) = @like(input, fill_value, dtype)
zeros(*size, out=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False) = @zeros(size, dtype)
ones(*size, out=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False) = @ones(size, dtype)
full(size, fill_value, *, out=None, dtype=None, layout=None, device=None, requires_grad=False) = @filled(size, fill_value, dtype)
sum|prod|cumsum|softmax|log_softmax|logsumexp|amax|amin|median|norm|matmul|mm|dot|argmax|argmin|sort|topk|any|all(*args, **kwargs) = ! over features, not of one element
floor|ceil|trunc|fix|round|frac|floor_divide|fmod|remainder(*args, **kwargs) = ! no primitive rounds
rand|randn|rand_like|randn_like|randint|normal|bernoulli|empty|empty_like|dropout|rrelu(*args, **kwargs) = ! its values are random
erfc(*args, **kwargs) = ! no primitive keeps the relative accuracy of its tail; gelu(x) and 1 - erf(x) do exist
""",
    "torch.special": """
erf(input, *, out=None) = erf(input)
expit(input, *, out=None) = sigmoid(input)
exp2(input, *, out=None) = exp(0.6931471805599453*input)
expm1(input, *, out=None) = tanh(0.5*input)*(exp(input) + 1)
log1p|sinc(input, *, out=None) = {}(input)
ndtr(input, *, out=None) = 0.5*(1 + erf(0.7071067811865476*input)) # ndtr is 0.5*(1 + erf(x/sqrt(2))), without relative accuracy below -5
erfc|erfcx(*args, **kwargs) = ! no primitive keeps the relative accuracy of its tail; gelu(x) and 1 - erf(x) do exist
softmax|log_softmax|logsumexp(*args, **kwargs) = ! over features, not of one element
round(*args, **kwargs) = ! no primitive rounds
""",
    "torch.nn.functional": """
relu|silu(input, inplace=False) = {}(input)
tanh|sigmoid|softsign(input) = {}(input)
gelu(input, *, approximate='none') = @gelu(input, approximate)
relu6(input, inplace=False) = min(relu(input), 6)
elu(input, alpha=1.0, inplace=False) = where(input > 0, input, alpha*(exp(min(input, 0)) - 1))
celu(input, alpha=1.0, inplace=False) = where(input > 0, input, alpha*(exp(min(input, 0)/alpha) - 1))
selu(input, inplace=False) = 1.0507009873554805*where(input > 0, input, 1.6732632423543772*(exp(min(input, 0)) - 1))
leaky_relu(input, negative_slope=0.01, inplace=False) = where(input >= 0, input, negative_slope*input)
prelu(input, weight) = where(input >= 0, input, weight*input)
hardtanh(input, min_val=-1.0, max_val=1.0, inplace=False) = min(max(input, min_val), max_val)
hardsigmoid(input, inplace=False) = min(max(input/6 + 0.5, 0), 1)
hardswish(input, inplace=False) = input*min(max(input/6 + 0.5, 0), 1)
mish(input, inplace=False) = input*tanh(softplus(input))
logsigmoid(input) = -softplus(-input)
tanhshrink(input) = input - tanh(input)
softplus(input, beta=1.0, threshold=20.0) = @softplus(input, beta, threshold)
threshold(input, threshold, value, inplace=False) = where(input > threshold, input, value)
softmax|log_softmax|softmin|gumbel_softmax|glu|normalize|layer_norm|batch_norm(*args, **kwargs) = ! over features, not of one element
dropout|alpha_dropout|feature_alpha_dropout|rrelu(*args, **kwargs) = ! its values are random
"""
    + _SHRINKS,
    "torch.nn": """
ReLU(inplace=False) -> torch.nn.functional.relu
ReLU6(inplace=False) -> torch.nn.functional.relu6
SiLU(inplace=False) -> torch.nn.functional.silu
Mish(inplace=False) -> torch.nn.functional.mish
SELU(inplace=False) -> torch.nn.functional.selu
ELU(alpha=1.0, inplace=False) -> torch.nn.functional.elu
CELU(alpha=1.0, inplace=False) -> torch.nn.functional.celu
LeakyReLU(negative_slope=0.01, inplace=False) -> torch.nn.functional.leaky_relu
GELU(approximate='none') -> torch.nn.functional.gelu
Tanh() -> torch.nn.functional.tanh
Sigmoid() -> torch.nn.functional.sigmoid
Softsign() -> torch.nn.functional.softsign
LogSigmoid() -> torch.nn.functional.logsigmoid
Tanhshrink() -> torch.nn.functional.tanhshrink
Softplus(beta=1.0, threshold=20.0) -> torch.nn.functional.softplus
Softshrink(lambd=0.5) -> torch.nn.functional.softshrink
Hardshrink(lambd=0.5) -> torch.nn.functional.hardshrink
Hardtanh(min_val=-1.0, max_val=1.0, inplace=False) -> torch.nn.functional.hardtanh
Hardsigmoid(inplace=False) -> torch.nn.functional.hardsigmoid
Hardswish(inplace=False) -> torch.nn.functional.hardswish
Threshold(threshold, value, inplace=False) -> torch.nn.functional.threshold
Identity(*args, **kwargs) -> Tensor.contiguous
Parameter(data=None, requires_grad=True) = @parameter(data)
Buffer(data=None, *, persistent=True) = @tensor(data)
PReLU(num_parameters=1, init=0.25, device=None, dtype=None) = @prelu_layer(num_parameters, init)
Softmax|LogSoftmax|Softmin|GLU|LayerNorm|BatchNorm1d|RMSNorm|Linear(*args, **kwargs) = ! over features, not of one element
RReLU|Dropout|AlphaDropout(*args, **kwargs) = ! its values are random
""",
    "Tensor": """
to(*args, **kwargs) = @to(args, kwargs)
type(input, dtype=None, non_blocking=False) = @cast(input, dtype)
type_as(input, other) = @like_other(input, other)
float|double(input, memory_format=None) = @cast(input, "float64")
half|bfloat16(input, memory_format=None) = @cast(input, "float16")
int|short|long|char(input, memory_format=None) = @cast(input, "int64")
byte(input, memory_format=None) = @cast(input, "uint8")
bool(input, memory_format=None) = @cast(input, "bool")
contiguous(input, memory_format=None) = input
cpu|cuda(input, *args, **kwargs) = input
where(input, condition, y) = @where(condition, input, y)
new_zeros(input, size, *, dtype=None, device=None, requires_grad=False) = @zeros(size, dtype)
new_ones(input, size, *, dtype=None, device=None, requires_grad=False) = @ones(size, dtype)
new_full(input, size, fill_value, *, dtype=None, device=None, requires_grad=False) = @filled(size, fill_value, dtype)
new_tensor(input, data, *, dtype=None, device=None, requires_grad=False) = @tensor(data, dtype)
item(input) = @item(input)
detach(input) = @detach(input)
""",
    "ndarray": """
astype(a, dtype, order='K', casting='unsafe', subok=True, copy=True) = @cast(a, dtype)
clip(a, min=None, max=None, out=None, *, where=True, casting=None, dtype=None) = @clip(a, min, max)
copy(a, order='C') = @copy(a)
mean(a, axis=None, dtype=None, out=None, keepdims=False, *, where=True) = @mean(a, axis, keepdims)
std(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False, *, where=True, mean=None, correction=None) = @std(a, axis, ddof, correction, keepdims)
var(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False, *, where=True, mean=None, correction=None) = @var(a, axis, ddof, correction, keepdims)
conj|conjugate(a) = a
item(a) = @item(a)
sum|prod|cumsum|max|min|argmax|argmin|sort|any|all|dot(*args, **kwargs) = ! over features, not of one element
round(*args, **kwargs) = ! no primitive rounds
""",
    "tensorflow": """
sin|cos|tanh|exp|sqrt|square|abs|sign|atan|asinh|sigmoid(x, name=None) = {}(x)
negative(x, name=None) = -x
identity(input, name=None) = input
add(x, y, name=None) = x + y
subtract(x, y, name=None) = x - y
multiply(x, y, name=None) = x*y
divide|truediv(x, y, name=None) = x/y
pow(x, y, name=None) = @power(x, y)
maximum(x, y, name=None) = max(x, y)
minimum(x, y, name=None) = min(x, y)
sinh(x, name=None) = 0.5*tanh(x)*(exp(x) + exp(-x))
cosh(x, name=None) = 0.5*(exp(x) + exp(-x))
tan(x, name=None) = sin(x)/cos(x)
greater(x, y, name=None) = @gt(x, y)
greater_equal(x, y, name=None) = @ge(x, y)
less(x, y, name=None) = @lt(x, y)
less_equal(x, y, name=None) = @le(x, y)
equal(x, y, name=None) = @eq(x, y)
not_equal(x, y, name=None) = @ne(x, y)
logical_and(x, y, name=None) = @both(x, y)
logical_or(x, y, name=None) = @either(x, y)
logical_not(x, name=None) = @neither(x)
where(condition, x, y, name=None) = @where(condition, x, y)
clip_by_value(t, clip_value_min, clip_value_max, name=None) = @clip(t, clip_value_min, clip_value_max)
cast(x, dtype, name=None) = @cast(x, dtype)
reduce_mean(input_tensor, axis=None, keepdims=False, name=None) = @mean(input_tensor, axis, keepdims)
constant(value, dtype=None, shape=None, name='Const') = @tensor(value, dtype)
convert_to_tensor(value, dtype=None, dtype_hint=None, name=None) = @tensor(value, dtype)
Variable(initial_value, trainable=None, validate_shape=True, caching_device=None, name=None, variable_def=None, dtype=None) = @variable(initial_value, dtype)
zeros_like(input, dtype=None, name=None, layout=None) = @zeros_like(input, dtype)
ones_like(input, dtype=None, name=None, layout=None) = @ones_like(input, dtype)
zeros(shape, dtype=None, name=None, layout=None) = @zeros(shape, dtype)
ones(shape, dtype=None, name=None, layout=None) = @ones(shape, dtype)
fill(dims, value, name=None, layout=None) = @filled(dims, value)
reduce_sum|reduce_max|reduce_min|matmul|cumsum|norm(*args, **kwargs) = ! over features, not of one element
floor|round|floordiv(*args, **kwargs) = ! no primitive rounds
stop_gradient(*args, **kwargs) = ! a stopped gradient has no primitive
""",
    "tensorflow.math": """
log|log1p|erf(x, name=None) = {}(x)
softplus|softsign(features, name=None) = {}(features)
log_sigmoid(x, name=None) = -softplus(-x)
expm1(x, name=None) = tanh(0.5*x)*(exp(x) + 1)
rsqrt(x, name=None) = 1/sqrt(x)
reciprocal(x, name=None) = 1/x
divide_no_nan|xlogy|erfinv|lgamma(*args, **kwargs) = ! it has no primitive
reduce_std(input_tensor, axis=None, keepdims=False, name=None) = @std(input_tensor, axis, 0, None, keepdims)
reduce_variance(input_tensor, axis=None, keepdims=False, name=None) = @var(input_tensor, axis, 0, None, keepdims)
erfc(*args, **kwargs) = ! no primitive keeps the relative accuracy of its tail; gelu(x) and 1 - erf(x) do exist
ceil|rint|mod|floormod(*args, **kwargs) = ! no primitive rounds
""",
    "tensorflow.nn": """
relu|softplus|softsign(features, name=None) = {}(features)
tanh|sigmoid(x, name=None) = {}(x)
relu6(features, name=None) = min(relu(features), 6)
elu(features, name=None) = where(features > 0, features, exp(min(features, 0)) - 1)
selu(features, name=None) = 1.0507009873554805*where(features > 0, features, 1.6732632423543772*(exp(min(features, 0)) - 1))
leaky_relu(features, alpha=0.2, name=None) = where(features >= 0, features, alpha*features)
gelu(features, approximate=False, name=None) = @gelu(features, approximate)
silu|swish(features, beta=1.0) = @silu(features, beta)
softmax|log_softmax|crelu|l2_normalize(*args, **kwargs) = ! over features, not of one element
dropout(*args, **kwargs) = ! its values are random
""",
    "keras.activations": """
relu(x, negative_slope=0.0, max_value=None, threshold=0.0) = @keras_relu(x, negative_slope, max_value, threshold)
gelu(x, approximate=False) = @gelu(x, approximate)
exponential(x) = exp(x)
linear(x) = x
sparse_sigmoid(x) = min(max(0.5*(x + 1), 0), 1)
mish(x) = x*tanh(softplus(x))
softmax|log_softmax|glu(*args, **kwargs) = ! over features, not of one element
""",
    "keras.ops": """
relu(x) = relu(x)
gelu(x, approximate=True) = @gelu(x, approximate)
sin|cos|exp|log|log1p|sqrt|square|abs|sign|erf(x) = {}(x)
absolute(x) = abs(x)
arctan(x) = atan(x)
arcsinh(x) = asinh(x)
negative(x) = -x
reciprocal(x) = 1/x
rsqrt(x) = 1/sqrt(x)
expm1(x) = tanh(0.5*x)*(exp(x) + 1)
add(x1, x2) = x1 + x2
subtract(x1, x2) = x1 - x2
multiply(x1, x2) = x1*x2
divide|true_divide(x1, x2) = x1/x2
power(x1, x2) = @power(x1, x2)
maximum(x1, x2) = max(x1, x2)
minimum(x1, x2) = min(x1, x2)
logaddexp(x1, x2) = @logaddexp(x1, x2)
greater(x1, x2) = @gt(x1, x2)
greater_equal(x1, x2) = @ge(x1, x2)
less(x1, x2) = @lt(x1, x2)
less_equal(x1, x2) = @le(x1, x2)
logical_and(x1, x2) = @both(x1, x2)
logical_or(x1, x2) = @either(x1, x2)
logical_not(x) = @neither(x)
where(condition, x1, x2) = @where(condition, x1, x2)
clip(x, x_min, x_max) = @clip(x, x_min, x_max)
mean(x, axis=None, keepdims=False) = @mean(x, axis, keepdims)
std(x, axis=None, keepdims=False) = @std(x, axis, 0, None, keepdims)
var(x, axis=None, keepdims=False) = @var(x, axis, 0, None, keepdims)
cast(x, dtype) = @cast(x, dtype)
convert_to_tensor(x, dtype=None, sparse=None, ragged=None) = @tensor(x, dtype)
zeros_like(x, dtype=None) = @zeros_like(x, dtype)
ones_like(x, dtype=None) = @ones_like(x, dtype)
full_like(x, fill_value, dtype=None) = @like(x, fill_value, dtype)
max|min|sum|prod|softmax|log_softmax|matmul(*args, **kwargs) = ! over features, not of one element
floor|ceil|round|mod|floor_divide(*args, **kwargs) = ! no primitive rounds
""",
    "keras.layers": """
ReLU(max_value=None, negative_slope=0.0, threshold=0.0, *, name=None, dtype=None) -> keras.activations.relu
LeakyReLU(negative_slope=0.3, *, name=None, dtype=None) -> keras.activations.leaky_relu
ELU(alpha=1.0, *, name=None, dtype=None) -> keras.activations.elu
Softmax|Dropout|PReLU(*args, **kwargs) = ! over features, random, or trained
""",
}

#: Rows that several modules share.
_KERAS = """
sigmoid|silu|softplus|softsign|tanh(x) = {}(x)
swish(x) = silu(x)
relu6(x) = min(relu(x), 6)
elu(x, alpha=1.0) = where(x > 0, x, alpha*(exp(min(x, 0)) - 1))
celu(x, alpha=1.0) = where(x > 0, x, alpha*(exp(min(x, 0)/alpha) - 1))
selu(x) = 1.0507009873554805*where(x > 0, x, 1.6732632423543772*(exp(min(x, 0)) - 1))
leaky_relu(x, negative_slope=0.2) = where(x >= 0, x, negative_slope*x)
hard_sigmoid(x) = min(max(x/6 + 0.5, 0), 1) # hard_sigmoid is that of Keras 3, of slope 1/6
hard_silu|hard_swish(x) = x*min(max(x/6 + 0.5, 0), 1)
hard_tanh(x) = min(max(x, -1), 1)
log_sigmoid(x) = -softplus(-x)
tanh_shrink(x) = x - tanh(x)
soft_shrink(x, threshold=0.5) = where(x > threshold, x - threshold, where(x < -threshold, x + threshold, 0))
hard_shrink(x, threshold=0.5) = where(abs(x) > threshold, x, 0)
squareplus(x, b=4) = 0.5*(x + sqrt(x**2 + b))
sparse_plus(x) = where(x <= -1, 0, where(x < 1, 0.25*(x + 1)**2, x))
threshold(x, threshold, default_value) = where(x > threshold, x, default_value)
"""
TABLE["keras.activations"] += _KERAS
TABLE["keras.ops"] += _KERAS
TABLE["tensorflow.math"] = TABLE["tensorflow"] + TABLE["tensorflow.math"]
TABLE["jax.scipy.stats.norm"] = TABLE["scipy.stats.norm"]

#: Constants of libraries by the last part of their path.
NUMBERS = {"pi": 3.141592653589793, "e": 2.718281828459045, "tau": 6.283185307179586}
#: Modules with these constants. Only NumPy has ``euler_gamma``.
NUMBER_MODULES = ("math", "numpy", "jax.numpy", "torch", "scipy.constants")
