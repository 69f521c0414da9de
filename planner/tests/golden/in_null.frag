# NULL in the list: NOT IN is never true.
scan (s: utf8 null)
| emit a: s in ('x', null utf8), b: s not in ('x', null utf8), c: s not in ('x', '')
--- rows in
s = 'x', 'y', '', null
--- rows out
a = true, null, null, null
b = false, null, null, null
c = false, true, false, null
