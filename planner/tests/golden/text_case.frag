# Text that is computed, where only a predicate sees it.
scan (s: utf8 null, t: utf8, k: i64)
| filter case when k > 0 then s else 'none' end like 'n%' or case when k > 1 then t end in ('x', 'y')
| emit k, a: case when k = 1 then s when k = 2 then t end is null, b: case when k > 1 then s else t end < t, c: 'a' like '_'
--- rows in
s = 'nose', 'a', null, 'nine', 'b', 'b'
t = 'x', 'x', 'x', 'z', 'y', 'z'
k = 1, 0, 2, 2, 3, 2
--- rows out
k = 1, 0, 2, 2, 3
a = false, true, false, false, true
b = false, false, null, true, true
c = true, true, true, true, true
