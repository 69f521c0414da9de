# Conjuncts narrow the rows; three-valued logic inside one.
scan (k: i64 null, s: utf8 null, b: bool null)
| filter k <> 2 or b
| filter s like 'a%' or s is null
| emit k, s
--- rows in
k = 1, 2, 2, 2, null, null, 3
s = 'ab', 'a', 'a', 'a', 'a', null, 'ba'
b = null, null, true, false, null, true, true
--- rows out
k = 1, 2, null
s = 'ab', 'a', null
