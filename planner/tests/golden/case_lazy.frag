# An arm that a row does not take cannot fail it.
scan (k: i64 null)
| emit x: case when k > 127 then null i8 when k < -128 then -1i8 else cast(k as i8) end
--- rows in
k = 127, 128, -129, null, 9223372036854775807
--- rows out
x = 127, null, -1, null, null
