# No keys: one row, also over no rows.
scan (k: i64 null, s: utf8)
| filter s = 'x'
| aggregate n: count(*), c: count(k), t: sum(k), lo: min(s), hi: max(k) filter (where s = 'x')
--- rows in
k = 1, null
s = 'y', ''
--- rows out
n = 0
c = 0
t = null
lo = null
hi = null
