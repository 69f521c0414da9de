# `false` is less than `true`; MIN and MAX of truth values.
scan (a: bool null, b: bool, g: i32)
| group by g
| aggregate lt: max(a < b), ge: min(a >= b), le: min(a <= b), gt: max(a > b), lo: min(a), hi: max(a), of: min(b) filter (where a)
--- rows in
a = true, false, null, null, false, false
b = false, true, true, true, false, false
g = 1, 4, 1, 2, 3, 3
--- rows out
g = 1, 4, 2, 3
lt = false, true, null, false
ge = true, false, null, true
le = false, true, null, true
gt = true, false, null, false
lo = true, false, null, false
hi = true, false, null, false
of = false, null, null, null
