# The greatest item has the low 64 bits of a row's value, which alone fits them.
scan (d: decimal(38,2))
| emit x: d in (0.01d(38,2), 0.02d(38,2), 0.03d(38,2), 0.04d(38,2), 184467440737095516.21d(38,2))
--- rows in
d = 0.04, 0.05
--- rows out
x = true, false
