# By group, floats without NaNs, infinities and negative zeros are the device's.
scan (g: i32, x: f64 null, y: f32)
| group by g
| aggregate lo: min(x), hi: max(x), small: min(y) filter (where x > 0.0)
--- rows in
g = 1, 2, 1, 1, 3
x = 1.5, -2.0, 0.0, -7.25, null
y = 0.5, -1.0, -0.0, 3.0, 0x7fc00000
--- rows out
g = 1, 2, 3
lo = -7.25, -2.0, null
hi = 1.5, -2.0, null
small = 0.5, null, null
