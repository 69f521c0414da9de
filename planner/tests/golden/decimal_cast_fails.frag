# Rounding may make a digit that the type has no room for.
scan (d: decimal(4,2))
| emit x: cast(d as decimal(3,1))
--- rows in
d = 99.94, -99.94, 99.95
--- rows out
error: row 2: a value does not fit decimal(3,1)
