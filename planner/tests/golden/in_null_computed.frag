# The operand is computed, even where the answer is NULL whatever it is.
scan (k: i64)
| emit x: cast(k as i8) in (null i8)
--- rows in
k = 1, 300
--- rows out
error: row 1: a value does not fit i8
