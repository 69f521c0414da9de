# A cast that does not fit fails the query; NULL fits everything.
scan (k: i64 null)
| filter k <> 1
| emit x: cast(k as i8)
--- rows in
k = 1, null, 2, 300
--- rows out
error: row 3: a value does not fit i8
