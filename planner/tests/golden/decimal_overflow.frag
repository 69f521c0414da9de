# The sum would fit, bringing both operands to one scale does not.
scan (d: decimal(38,0) null)
| emit x: d - 0.5d(1,1)
--- rows in
d = null, 17014118346046923173168730371588410572, 17014118346046923173168730371588410573
--- rows out
error: row 2: decimal overflow in operator -
