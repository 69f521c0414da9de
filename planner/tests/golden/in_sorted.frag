# Lists that are searched: one entry more than a power of two, below, between and above the items; NaNs and signed zeros by their bits.
scan (k: i64 null, u: u64, x: f32, d: decimal(38,2))
| emit a: k in (5, -7, 300, 9223372036854775807, 0), b: k not in (5, -7, 300, 1, 0, null i64), c: u in (18446744073709551615u64, 0u64, 9u64, 7u64, 1u64), e: x in (-0.0f32, f32 0x7fc00000, 1.5f32, -2.0f32, f32 0xff800000), f: d in (1.50d(38,2), -1.50d(38,2), 99999999999999999999999999999999999.99d(38,2), 0.00d(38,2), 0.01d(38,2))
--- rows in
k = 5, null, -8, 9223372036854775807, -7, 6
u = 18446744073709551615, 8, 9223372036854775808, 0, 1, 7
x = -0.0, 0.0, 0x7fc00000, 0x7fc00001, 0xff800000, 1.5
d = 1.50, 99999999999999999999999999999999999.99, -1.51, 0.00, 0.02, -1.50
--- rows out
a = true, null, false, true, true, false
b = false, null, null, null, false, null
c = true, false, false, true, true, true
e = true, false, true, false, true, true
f = true, true, false, true, false, true
