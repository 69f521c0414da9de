# Fewer digits after the point: halves away from zero. To an integer: towards zero. To a float: two roundings.
scan (d: decimal(15,2) null, w: decimal(38,4))
| emit a: cast(d as decimal(15,1)), b: cast(w as decimal(30,0)), c: cast(d as i64), e: cast(w as i64), f: cast(d as f64), g: cast(w as f32)
--- rows in
d = 0.05, -0.05, 0.04, null, -2.99, 9999999999.15
w = 0.5000, -0.5000, 0.4999, 922337203685477580.7000, -3.9999, 92233720368547758.0799
--- rows out
a = 0.1, -0.1, 0.0, null, -3.0, 9999999999.2
b = 1, -1, 0, 922337203685477581, -4, 92233720368547758
c = 0, 0, 0, null, -2, 9999999999
e = 0, 0, 0, 922337203685477580, -3, 92233720368547758
f = 0.05, -0.05, 0.04, null, -2.99, 9999999999.15
g = 0.5, -0.5, 0.4999, 9.223372e17, -3.9999, 9.223372e16
