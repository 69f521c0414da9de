# The same beyond 64 bits, to an integer.
scan (d: decimal(38,2))
| emit x: cast(d as u64)
--- rows in
d = 18446744073709551615.99, -0.99, 18446744073709551616.00
--- rows out
error: row 2: a value does not fit u64
