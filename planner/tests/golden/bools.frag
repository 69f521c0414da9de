# `false` is less than `true`; MIN and MAX of truth values.
scan (a: bool null, b: bool, g: i32)
| group by g
| aggregate lt: max(a < b), ge: min(a >= b), le: count(a <= b), lo: min(a), hi: max(a), of: min(b) filter (where a)
--- rows in
a = true, false, null, null, false, false
b = false, true, true, true, false, false
g = 1, 1, 1, 2, 3, 3
--- rows out
g = 1, 2, 3
lt = true, null, false
ge = false, null, true
le = 2, 0, 2
lo = false, null, false
hi = true, null, false
of = false, null, null
