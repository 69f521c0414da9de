# A comparison with a literal; null never passes.
scan (k: i64 null)
| filter k > 10
| emit k
--- rows in
k = 9, 10, 11, null
--- rows out
k = 11
