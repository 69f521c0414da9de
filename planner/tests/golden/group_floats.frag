# Zero has no sign as a key, each NaN is its own; MIN with keys lets a NaN be replaced by what follows it.
scan (x: f64 null, y: f32)
| group by x
| aggregate n: count(*), lo: min(y), hi: max(y)
--- rows in
x = -0.0, 0.0, null, 0x7ff8000000000000, 0xfff8000000000000, null, 0.0
y = 1.5, 0x7fc00000, 0x7f800000, -0.0, 0.0, 0x7f800000, 3.5
--- rows out
x = 0.0, null, 0x7ff8000000000000, 0xfff8000000000000
n = 3, 2, 1, 1
lo = 3.5, 3.4028235e38, -0.0, 0.0
hi = 3.5, 0x7f800000, -0.0, 0.0
--- the program leaves them to the host
